"""Packs: trained models in one directory with a model card, to share, and to use like an experiment."""
