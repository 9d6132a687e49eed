"""Log-mel spectra that a vocoder turns back into speech, and Griffin-Lim's way to do it.

Free of torch and of librosa until it is used, so that fronts start fast.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option

GRIFFIN_LIM_ITERATIONS = 60


@dataclass(frozen=True)
class MelConfig(Config, section="mel"):
    """Mel spectra between the two networks (Tacotron 2, section 2.1)."""

    sample_rate: int = option(24000, "Hz, of the corpus", at_least=1)
    hop: int = option(300, "samples between frames; 12.5 ms in the paper", at_least=1)
    window: int = option(1200, "samples of a frame; 50 ms in the paper", at_least=16)
    num_mels: int = option(80, "bands", at_least=1)
    low: float = option(125.0, "Hz, lower end of the bands", at_least=0)
    high: float = option(7600.0, "Hz, upper end")
    floor: float = option(0.01, "least magnitude, before the logarithm", more_than=0)

    def __post_init__(self):
        super().__post_init__()
        if self.window < self.hop:
            raise InputError(f"mel.window is {self.window}, expected at least mel.hop, {self.hop}")
        if not self.low < self.high <= self.sample_rate / 2:
            raise InputError(
                f"mel.low is {self.low} and mel.high {self.high}, expected 0 <= low < high <= "
                f"{self.sample_rate / 2:g}, half of mel.sample_rate"
            )

    @property
    def n_fft(self) -> int:
        """The power of two that holds a window."""
        return 1 << (self.window - 1).bit_length()

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop


@lru_cache
def _filters(config: MelConfig) -> np.ndarray:
    import librosa

    return librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.num_mels, fmin=config.low, fmax=config.high,
        norm=None, dtype=np.float32,
    )  # fmt: skip


def mel_features(wav: np.ndarray, config: MelConfig) -> np.ndarray:
    """Samples ``(S,)`` to log magnitudes ``(S // hop, num_mels)``, float32; frame t's middle is ``t * hop``.

    Raises:
        ValueError: not as long as a frame.
    """
    import librosa

    frames = len(wav) // config.hop
    if not frames:
        raise InputError(f"{len(wav)} samples, expected at least {config.hop}, those of a frame")
    spectrum = librosa.stft(
        wav.astype(np.float32), n_fft=config.n_fft, hop_length=config.hop, win_length=config.window,
        pad_mode="constant",
    )  # fmt: skip
    magnitudes = _filters(config) @ np.abs(spectrum[:, :frames])
    return np.log(np.maximum(magnitudes, config.floor)).T.astype(np.float32)


def griffin_lim(features: np.ndarray, config: MelConfig, *, seed: int = 0) -> np.ndarray:
    """Log magnitudes ``(F, num_mels)`` to samples ``(F * hop,)``, with phases that fit the magnitudes.

    The filters' pseudo-inverse gives the magnitudes of all frequencies, ``seed`` the phases to start from.
    """
    import librosa

    bands = np.exp(features.T.astype(np.float64))
    magnitudes = np.maximum(_inverse_filters(config) @ bands, 0.0)
    magnitudes = np.pad(magnitudes, ((0, 0), (0, 1)), mode="edge")  # the frame that begins after the last sample
    wav = librosa.griffinlim(
        magnitudes, n_iter=GRIFFIN_LIM_ITERATIONS, hop_length=config.hop, win_length=config.window,
        n_fft=config.n_fft, length=len(features) * config.hop, random_state=seed % 2**32,
    )  # fmt: skip
    return np.clip(wav, -1.0, 1.0).astype(np.float32)


@lru_cache
def _inverse_filters(config: MelConfig) -> np.ndarray:
    return np.linalg.pinv(_filters(config).astype(np.float64))
