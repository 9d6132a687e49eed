"""Data directories, audio, token archives, texts, and how they become batches."""
