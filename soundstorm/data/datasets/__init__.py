"""Every dataset that a model is trained on, with its settings in ``dataset_configs.py``."""
