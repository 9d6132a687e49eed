"""HuBERT as transformers has it: loading, and what its inputs must look like."""

from __future__ import annotations

import logging
from pathlib import Path

from transformers import HubertModel, Wav2Vec2FeatureExtractor

logger = logging.getLogger(__name__)


def load_ssl_model(source: str, *, local_only: bool = False) -> tuple[HubertModel, bool, int]:
    """A HuBERT, whether it wants recordings of zero mean and unit variance, and its sample rate in Hz.

    Args:
        source: directory of transformers, or hub name.
        local_only: look for a hub name in the cache only. So a name that a user did not give, but a file that was
            read, never opens a connection.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # they fill the logs of jobs
    source = cached(source) if local_only else source
    try:
        model, report = HubertModel.from_pretrained(
            source, use_safetensors=True, output_loading_info=True
        )
    except MemoryError:
        raise
    except OSError as error:
        raise FileNotFoundError(
            f"{source}: no HuBERT could be loaded from there ({str(error).splitlines()[0]:.300}); "
            "give a directory that save_pretrained wrote, or a hub name"
        ) from error
    except Exception as error:  # transformers meets a damaged file with nearly any exception
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{source}: the model cannot be read ({reason:.300}); train or download it again") from error
    missing = sorted(set(report["missing_keys"]) - {"masked_spec_embed"})
    if missing or report["mismatched_keys"]:
        raise ValueError(
            f"{source}: the weights do not fit config.json, {len(missing)} are missing ({', '.join(missing[:2])}); "
            "train or download the model again"
        )
    if not all(value.isfinite().all() for value in model.state_dict().values()):
        raise ValueError(f"{source}: some weights are NaN or infinite; train or download the model again")
    return model, *_preprocessing(source)


def cached(source: str) -> str:
    """The directory of a model, where it has been downloaded before if it is a hub name."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).is_dir():
        return source
    try:
        # local_files_only of transformers still opens connections, to say who is asking.
        config = try_to_load_from_cache(source, "config.json")
    except ValueError:
        config = None  # neither can it be a hub name
    if not isinstance(config, str):
        raise FileNotFoundError(
            f"{source}: no model of that name, neither a directory nor one that has been downloaded; "
            "train or download it again"
        )
    return str(Path(config).parent)


def _preprocessing(source: str) -> tuple[bool, int]:
    try:
        settings, _ = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source)
    except (OSError, ValueError) as error:
        if (Path(source) / "preprocessor_config.json").exists():
            raise ValueError(
                f"{source}/preprocessor_config.json: not JSON ({' '.join(str(error).split()):.200}); "
                "train or download the model again"
            ) from error
        logger.warning("%s has no preprocessor_config.json: recordings at 16 kHz are used as they are", source)
        return False, 16000
    do_normalize, sample_rate = settings.get("do_normalize", True), settings.get("sampling_rate", 16000)
    if not isinstance(do_normalize, bool) or not isinstance(sample_rate, int) or sample_rate < 1:
        raise ValueError(
            f"{source}/preprocessor_config.json: do_normalize is {do_normalize!r:.80} and sampling_rate "
            f"{sample_rate!r:.80}, expected true or false and Hz"
        )
    return do_normalize, sample_rate
