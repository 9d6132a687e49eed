"""Open, reproducible SoundStorm: semantic tokens to speech by parallel decoding over RVQ levels."""

__version__ = "0.1.0"
