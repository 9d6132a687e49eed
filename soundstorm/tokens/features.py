"""What k-means clusters: frames of features of a recording, from whichever source the user named."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Protocol

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.models.hub import NAME
from soundstorm.models.recognizer_config import RECOGNIZER

MFCC = "mfcc"
# What stands before the name of a model, and who reads such models; imported when one is, as torch takes
# seconds.
FAMILIES = {
    "": "soundstorm.tokens.ssl_features:SslFeatures",
    RECOGNIZER: "soundstorm.tokens.recognizer_features:RecognizerFeatures",
    "w2v-bert:": "soundstorm.tokens.w2v_bert:W2vBertFeatures",
    "whisper:": "soundstorm.tokens.whisper:WhisperFeatures",
    "whisper-padded:": "soundstorm.tokens.whisper:PaddedWhisperFeatures",
}
CHOICES = (
    f"'{MFCC}', or directory or hub name of a HuBERT, WavLM, wav2vec 2.0 or data2vec-audio, the latter "
    f"perhaps with @ and a commit; of other models after {' or '.join(filter(None, FAMILIES))}"
)
SAMPLE_RATE = 16000  # Hz; of all published models, and so of the MFCC that a HuBERT is first trained on


class FeatureExtractor(Protocol):
    """Turns recordings into frames.

    Frame ``t`` is centred on the middle of the ``t``-th hop, and a recording of ``S`` samples has ``S //
    hop``
    frames: what is left of the last hop is not worth a frame. Codec frames are counted alike.
    """

    source: str  # what the user named, with the commit where it is on the hub
    layer: int | None  # whose output it is; None where there are no layers
    fingerprint: str  # sha256 over everything the features depend on
    sample_rate: int  # Hz
    frame_rate: float  # frames per second
    device: str  # where it works

    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(T, D)`` float32 each."""


def open_features(
    source: str, layer: int | None = None, *, device: str = "cpu", local_only: bool = False
) -> FeatureExtractor:
    """The features that ``source`` names.

    Args:
        source: ``mfcc``, the directory of a model as transformers saves it, or a name on the Hugging Face
        hub;
            after a prefix where the model is of another family (``FAMILIES``).
        layer: layer of the model, 0 is what enters the first one; not for MFCC.
        device: where the model runs.
        local_only: take a hub name's files from the cache and open no connection.

    Raises:
        FileNotFoundError: neither a directory nor possibly a hub name.
        ValueError: the layer does not fit the source, or the model is damaged.
    """
    if source == MFCC:
        from soundstorm.tokens.mfcc import MfccFeatures

        if layer is not None:
            raise InputError(f"layer {layer} of {MFCC!r} was asked for, but it has none; leave --layer out")
        return MfccFeatures()
    if layer is None:
        raise InputError(f"the features of {source!r} need a layer; give --layer, in a recipe --semantic-layer")
    prefix = next((prefix for prefix in FAMILIES if prefix and source.startswith(prefix)), "")
    name = source.removeprefix(prefix)
    if not prefix and not Path(name).is_dir() and not NAME.fullmatch(name):
        raise FileNotFoundError(f"{source}: no such directory; expected {CHOICES}")
    from soundstorm.models.devices import exact_products

    features = pkgutil.resolve_name(FAMILIES[prefix])(name, layer, device=device, local_only=local_only)
    features.source = prefix + features.source
    features.extract = exact_products()(features.extract)
    return features


def check_long_enough(wavs: list[np.ndarray], hop: int) -> None:
    """Refuse a recording without a single frame."""
    for wav in wavs:
        if len(wav) < hop:
            raise InputError(
                f"a recording of {len(wav)} samples is shorter than one frame of {hop} samples; remove it in stage 0"
            )
