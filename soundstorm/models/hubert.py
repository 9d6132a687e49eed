"""HuBERT as transformers has it: loading, and what its inputs must look like."""

from __future__ import annotations

import logging

import numpy as np
from transformers import HubertModel

logger = logging.getLogger(__name__)


def normalize(wav: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, as the feature extractor of transformers has it."""
    return ((wav - wav.mean()) / np.sqrt(wav.var() + 1e-7)).astype(np.float32)


def load_hubert(source: str) -> tuple[HubertModel, bool, int]:
    """A HuBERT, whether it wants recordings of zero mean and unit variance, and its sample rate in Hz."""
    from safetensors import SafetensorError
    from transformers import AutoFeatureExtractor
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # they fill the logs of jobs
    try:
        model = HubertModel.from_pretrained(source, use_safetensors=True)
    except SafetensorError as error:
        raise ValueError(f"{source}: the weights cannot be read ({error}); train or download them again") from error
    except OSError as error:
        raise FileNotFoundError(
            f"{source}: no HuBERT could be loaded from there ({str(error).splitlines()[0]}); "
            "give a directory that save_pretrained wrote, or a hub name"
        ) from error
    try:
        extractor = AutoFeatureExtractor.from_pretrained(source)
    except OSError:
        logger.warning("%s has no preprocessor_config.json: recordings at 16 kHz are used as they are", source)
        return model, False, 16000
    return model, bool(extractor.do_normalize), int(extractor.sampling_rate)
