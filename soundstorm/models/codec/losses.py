"""Losses of codec training (SoundStream, section III.E). Each is a mean per example, float32 inside."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.mel import mel_filters

# Magnitude, relative to full scale, below which differences stop to count. Much lower and the noise of the
# pauses, which nothing can reproduce, takes a share of the loss, and of the codes, that speech should have.
LOG_FLOOR = 1e-3


class MultiScaleMelLoss(nn.Module):
    """Distance of mel spectrograms at several window lengths, hop a quarter of the window.

    ``paper``: 64 bands at every scale s, L1 of magnitudes plus ``sqrt(s / 2)`` times the L2 norm of log
    magnitudes, averaged over frames and bands. ``log``: L1 of log magnitudes, with as many bands as the
    window can tell apart, averaged over scales; better behaved with few steps, because quiet parts count as
    much as loud ones.
    """

    def __init__(self, sample_rate: int, windows: tuple[int, ...], style: str = "paper"):
        super().__init__()
        self.windows, self.style = windows, style
        for size in windows:
            bands = 64 if style == "paper" else max(5, min(128, size // 8))
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)
            filters = torch.from_numpy(mel_filters(sample_rate, size, bands)).float()
            if style == "log":
                # Means instead of sums over a band and a window, so that one floor suits all scales.
                filters = filters / filters.sum(0).clamp(min=1e-6) / math.sqrt(size * 3 / 8)
            self.register_buffer(f"filters_{size}", filters, persistent=False)

    def mel(self, wav: Tensor, size: int) -> Tensor:
        """Mel magnitudes (B, bands, frames) of ``(B, S)`` samples."""
        window = getattr(self, f"window_{size}")
        spectra = torch.stft(wav, size, size // 4, window=window, pad_mode="constant", return_complex=True)
        # The root of a sum with a floor, because the gradient of abs() has no limit at zero.
        magnitude = (spectra.real.square() + spectra.imag.square() + 1e-9).sqrt()
        return getattr(self, f"filters_{size}").T @ magnitude

    def forward(self, decoded: Tensor, target: Tensor) -> Tensor:
        """Mean loss of ``decoded`` (B, S) against ``target`` (B, S)."""
        with torch.autocast(decoded.device.type, enabled=False):
            losses = [self._scale(decoded.float(), target.float(), size) for size in self.windows]
        total = torch.stack(losses).sum()
        return total if self.style == "paper" else total / len(losses)

    def _scale(self, decoded: Tensor, target: Tensor, size: int) -> Tensor:
        got = self.mel(decoded, size)
        with torch.no_grad():
            wanted = self.mel(target, size)
        if self.style == "log":
            return ((got + LOG_FLOOR).log() - (wanted + LOG_FLOOR).log()).abs().mean()
        logs = got.clamp(min=1e-4).log() - wanted.clamp(min=1e-4).log()
        norm = (logs.square().mean(1) + 1e-9).sqrt().mean()  # L2 over bands
        return (got - wanted).abs().mean() + math.sqrt(size / 2) * norm


def discriminator_hinge(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Hinge loss of the discriminators, mean over them and over time (equation 1)."""
    losses = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake)]
    return torch.stack(losses).mean()


def generator_hinge(fake: list[Tensor]) -> Tensor:
    """Adversarial loss of the codec (equation 2)."""
    return torch.stack([F.relu(1 - f.float()).mean() for f in fake]).mean()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """L1 between the discriminators' layers, mean over discriminators and layers (equation 3)."""
    losses = [
        (r.float().detach() - f.float()).abs().mean() for rs, fs in zip(real, fake) for r, f in zip(rs, fs)
    ]
    return torch.stack(losses).mean()
