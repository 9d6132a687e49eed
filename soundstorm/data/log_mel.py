"""Log-mel spectra, as the recogniser and the detector read them."""

import torch
from torch import Tensor

from soundstorm.data.mel import mel_filters

SAMPLE_RATE = 16000
HOP = 160  # samples between spectra
WINDOW, N_FFT = 400, 512  # samples
FLOOR = 1e-4  # of mel magnitudes: below the noise of a recording


class LogMel:
    """Log-mel magnitudes, 100 spectra a second."""

    def __init__(self, num_mels: int):
        self.filters = torch.from_numpy(mel_filters(SAMPLE_RATE, N_FFT, num_mels)).float()
        self.window = torch.hann_window(WINDOW)

    def __call__(self, wav: Tensor) -> Tensor:
        """Samples (S,) at 16 kHz to (S // 160 + 1, number of mels)."""
        spectra = torch.stft(
            wav, N_FFT, HOP, WINDOW, self.window.to(wav.device), pad_mode="constant", return_complex=True
        )
        return (spectra.abs().T @ self.filters.to(wav.device)).clamp(min=FLOOR).log()


def stack_frames(spectra: Tensor, stack: int) -> Tensor:
    """The network's input: normalised bands, several spectra side by side.

    Each band has zero mean and unit variance over the recording.

    Args:
        spectra: (F, M)
        stack: spectra to a frame; what is left at the end is dropped.

    Returns:
        (F // stack, stack * M)
    """
    deviation = spectra.std(0, unbiased=False)
    normalized = (spectra - spectra.mean(0)) / (deviation + 1e-4)
    frames = len(spectra) // stack
    return normalized[: frames * stack].reshape(frames, -1)
