"""From acoustic tokens to a waveform, and seeds of utterances."""

import zlib

import numpy as np
import torch

from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.tokens.acoustic import AcousticTokenizer


def utterance_seed(seed: int, utt: str, sample: int = 0) -> int:
    """A seed that depends on the run's seed, the utterance id and the number of the sample only.

    torch's CPU generator uses the lowest 32 bits, which therefore differ.
    """
    name = f"{utt}/{sample}" if sample else utt  # no id has a slash
    return (zlib.crc32(name.encode()) << 16) + seed


def waveform(codec: AcousticTokenizer, codes: np.ndarray, stopwatch: Stopwatch | None = None) -> np.ndarray:
    """Samples ``(S,)`` of codes ``(T, Q)``."""
    stopwatch = stopwatch or Stopwatch()
    with stopwatch.part("codec", len(codes) / codec.info.frame_rate):
        wav = codec.decode(torch.from_numpy(codes.astype(np.int64))[None])[0]
    return wav.float().cpu().numpy()
