"""From acoustic tokens to a waveform, and seeds of utterances."""

import zlib

import numpy as np
import torch

from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.tokens.acoustic import AcousticTokenizer


def utterance_seed(seed: int, utt: str, sample: int = 0) -> int:
    """A seed that depends on the run's seed, the utterance id and the number of the sample only.

    It has 32 bits, all that torch's CPU generator uses, and so two of thousands of utterances hardly ever share one.
    """
    return zlib.crc32(f"{seed}/{utt}/{sample}".encode())  # no id has a slash


def waveform(codec: AcousticTokenizer, codes: np.ndarray, stopwatch: Stopwatch | None = None) -> np.ndarray:
    """Samples ``(S,)`` of codes ``(T, Q)``."""
    stopwatch = stopwatch or Stopwatch()
    with stopwatch.part("codec", len(codes) / codec.info.frame_rate):
        wav = codec.decode(torch.from_numpy(codes.astype(np.int64))[None])[0]
    return wav.float().cpu().numpy()
