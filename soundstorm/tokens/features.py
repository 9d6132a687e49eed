"""What k-means clusters: frames of features of a recording, from whichever source the user named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import numpy as np

MFCC = "mfcc"
W2V_BERT = "w2v-bert:"  # before the name of one; other names are those of a HuBERT
SAMPLE_RATE = 16000  # Hz; of every HuBERT, and so of the MFCC that HuBERT is first trained on
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


class FeatureExtractor(Protocol):
    """Turns recordings into frames.

    Frame ``t`` is centred on the middle of the ``t``-th hop, and a recording of ``S`` samples has ``S // hop``
    frames: what is left of the last hop is not worth a frame. Codec frames are counted alike.
    """

    source: str  # what the user named
    layer: int | None  # HuBERT layer; None where there are no layers
    fingerprint: str  # sha256 over everything the features depend on
    sample_rate: int  # Hz
    frame_rate: float  # frames per second

    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(T, D)`` float32 each."""


def open_features(
    source: str, layer: int | None = None, *, device: str = "cpu", local_only: bool = False
) -> FeatureExtractor:
    """The features that ``source`` names.

    Args:
        source: ``mfcc``, the directory of a HuBERT as transformers saves it, or a name on the Hugging Face hub; after
            ``w2v-bert:`` those of a w2v-BERT.
        layer: HuBERT layer, 0 is what enters the first one; not for MFCC.
        device: where a HuBERT runs.
        local_only: take a hub name's files from the cache and open no connection.

    Raises:
        FileNotFoundError: neither a directory nor possibly a hub name.
        ValueError: the layer does not fit the source.
    """
    if source == MFCC:
        from soundstorm.tokens.mfcc import MfccFeatures

        if layer is not None:
            raise ValueError(
                f"layer {layer} of {MFCC!r} was asked for, but only a HuBERT has layers; leave --layer out"
            )
        return MfccFeatures()
    if layer is None:
        raise ValueError(f"the features of HuBERT {source!r} need a layer; give --layer")
    if source.startswith(W2V_BERT):
        from soundstorm.tokens.w2v_bert import W2vBertFeatures

        return W2vBertFeatures(source.removeprefix(W2V_BERT), layer, device=device, local_only=local_only)
    if not Path(source).is_dir() and not HUB_NAME.fullmatch(source):
        raise FileNotFoundError(
            f"{source}: no such directory; expected {MFCC!r}, a HuBERT saved by transformers or a hub name"
        )
    from soundstorm.tokens.ssl_features import SslFeatures

    return SslFeatures(source, layer, device=device, local_only=local_only)


def check_long_enough(wav: np.ndarray, hop: int) -> None:
    """Refuse a recording without a single frame."""
    if len(wav) < hop:
        raise ValueError(
            f"a recording of {len(wav)} samples is shorter than one frame of {hop} samples; remove it in stage 0"
        )
