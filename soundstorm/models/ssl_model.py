"""Models of transformers, with all of their weights; and what self-supervised ones of speech want to be given."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel, Wav2Vec2FeatureExtractor

from soundstorm.data.errors import InputError
from soundstorm.models.hub import model_directory

logger = logging.getLogger(__name__)

# Those that are called alike: samples in, convolutions, then layers.
MODEL_TYPES = ("hubert", "wavlm", "wav2vec2", "data2vec-audio")


def load_ssl_model(source: str, *, local_only: bool = False) -> tuple[PreTrainedModel, bool, int]:
    """A model, whether it wants recordings of zero mean and unit variance, and its sample rate in Hz.

    Args:
        source: directory of transformers, or hub name, of one of ``MODEL_TYPES``.
        local_only: see :func:`load_pretrained`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another kind.
    """
    model = load_pretrained(source, "self-supervised model", MODEL_TYPES, local_only=local_only)
    return model, *_preprocessing(model.name_or_path)


def load_pretrained(
    source: str,
    kind: str,
    model_types: tuple[str, ...],
    *,
    local_only: bool = False,
    remedy: str = "give the prefix of such models before the name, if train_kmeans --help has one",
) -> PreTrainedModel:
    """A model of transformers, from safetensors and without code of its own.

    Args:
        source: directory, or hub name.
        kind: what it should be, for messages.
        model_types: what ``model_type`` in its ``config.json`` may be.
        local_only: as of :func:`soundstorm.models.hub.model_directory`.
        remedy: what to do where it is of another type, for messages.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another kind.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # they fill the logs of jobs
    with _errors_for_people(source, kind):
        directory = model_directory(source, local_only=local_only)
        if not (directory / "config.json").is_file():
            raise FileNotFoundError("config.json is missing")
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    if config.model_type not in model_types:
        raise InputError(
            f"{source}: model_type in config.json is {config.model_type!r}, "
            f"expected {', '.join(model_types)}; {remedy}"
        )
    with _errors_for_people(source, kind):
        model, report = AutoModel.from_pretrained(
            directory,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    missing = sorted(set(report["missing_keys"]) - {"masked_spec_embed"})
    if missing or report["mismatched_keys"]:
        raise InputError(
            f"{source}: the weights do not fit config.json, "
            f"{len(missing)} are missing ({', '.join(missing[:2])}); train or download the model again"
        )
    if not all(value.isfinite().all() for value in model.state_dict().values()):
        raise InputError(f"{source}: some weights are NaN or infinite; train or download the model again")
    return model.float()  # large ones are kept in half the bits


@contextmanager
def _errors_for_people(source: str, kind: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except OSError as error:
        raise FileNotFoundError(
            f"{source}: no {kind} could be loaded from there ({str(error).splitlines()[0]:.700}); "
            "give a directory that save_pretrained wrote, or a hub name"
        ) from error
    except Exception as error:  # transformers meets a damaged file with nearly any exception
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{source}: the model cannot be read ({reason:.300}); train or download it again"
        ) from error


def keep_layers(encoder: nn.Module, layer: int, source: str) -> None:
    """Drop the layers that are not needed for the output of a layer (0: the input of the first).

    Raises:
        ValueError: there is no such layer.
    """
    layers = len(encoder.layers)
    if not 0 <= layer <= layers:
        raise InputError(
            f"layer {layer} of {source} was asked for, but it has layers 0 to {layers}; see --layer, in a recipe "
            "--semantic-layer, or --hubert-target-layer where another HuBERT is to learn its clusters"
        )
    # One stays, because a layer's input is reported with its output.
    encoder.layers = encoder.layers[: max(layer, 1)]


def sees_padding(config: PretrainedConfig) -> bool:
    """Whether no mask could keep padding behind a recording from changing its frames.

    A normalisation over time after the first convolution sees it ("group", the BASE models); a normalisation
    among the convolutions of positions gives it other values than zero (data2vec-audio, some HuBERTs).
    """
    return (
        config.feat_extract_norm == "group"
        or config.model_type == "data2vec-audio"
        or getattr(config, "conv_pos_batch_norm", False)
    )


def _preprocessing(source: str) -> tuple[bool, int]:
    try:
        settings, _ = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source)
    except (OSError, ValueError) as error:
        if (Path(source) / "preprocessor_config.json").exists():
            raise InputError(
                f"{source}/preprocessor_config.json: not JSON ({' '.join(str(error).split()):.200}); "
                "train or download the model again"
            ) from error
        logger.warning("%s has no preprocessor_config.json: recordings are used as they are", source)
        return False, 16000
    do_normalize, sample_rate = settings.get("do_normalize", True), settings.get("sampling_rate", 16000)
    if not isinstance(do_normalize, bool) or not isinstance(sample_rate, int) or sample_rate < 1:
        raise InputError(
            f"{source}/preprocessor_config.json: do_normalize is {do_normalize!r:.80} and sampling_rate "
            f"{sample_rate!r:.80}, expected true or false and Hz"
        )
    return do_normalize, sample_rate
