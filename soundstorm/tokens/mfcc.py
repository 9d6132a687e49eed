"""Mel-frequency cepstra with their slopes: their clusters are HuBERT's first labels (its section III-A)."""

from __future__ import annotations

import hashlib

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.tokens.features import MFCC, SAMPLE_RATE, check_long_enough

NUM_CEPSTRA = 13
NUM_MELS = 40
WINDOW = 400  # samples: 25 ms
FFT_SIZE = 512


class MfccFeatures:
    """13 cepstra, their first and their second differences: 39 dimensions.

    HuBERT took a frame every 10 ms and used every second label; here a frame comes as often as HuBERT's own,
    and the slopes span about the same time.
    """

    source = MFCC
    layer = None
    device = "cpu"

    def __init__(self, *, frame_rate: float = 50.0, sample_rate: int = SAMPLE_RATE):
        if sample_rate % frame_rate:
            raise InputError(f"frame rate {frame_rate:g}/s does not divide the sample rate {sample_rate} Hz")
        self.frame_rate, self.sample_rate = frame_rate, sample_rate
        self.hop = int(sample_rate / frame_rate)
        # Odd number of frames, about 90 ms, over which a slope is fitted.
        self.slope_width = max(3, int(round(0.09 * frame_rate)) // 2 * 2 + 1)
        settings = (MFCC, frame_rate, sample_rate, NUM_CEPSTRA, NUM_MELS, WINDOW, FFT_SIZE, self.slope_width)
        self.fingerprint = hashlib.sha256(repr(settings).encode()).hexdigest()

    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Cepstra of recordings: ``(S,)`` each, to ``(S // hop, 39)`` float32 each."""
        check_long_enough(wavs, self.hop)
        return [self._extract(wav) for wav in wavs]

    def _extract(self, wav: np.ndarray) -> np.ndarray:
        import librosa

        excess = FFT_SIZE - self.hop  # zeros around the recording put a frame on the middle of every hop
        padded = np.pad(wav, (max(excess, 0) // 2, max(excess, 0) - max(excess, 0) // 2))
        cepstra = librosa.feature.mfcc(
            y=padded,
            sr=self.sample_rate,
            n_mfcc=NUM_CEPSTRA,
            n_mels=NUM_MELS,
            n_fft=FFT_SIZE,
            win_length=WINDOW,
            hop_length=self.hop,
            center=False,
        )
        slopes = [
            librosa.feature.delta(cepstra, width=self.slope_width, order=n, mode="nearest") for n in (1, 2)
        ]
        return np.concatenate([cepstra, *slopes]).T.astype(np.float32)
