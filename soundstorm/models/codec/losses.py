"""Losses of codec training (SoundStream, section III.E). Each is a mean per example, float32 inside."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.mel import mel_filters

# Magnitude, relative to full scale, below which differences stop to count. Much lower and the noise of the
# pauses, which nothing can reproduce, takes a share of the loss, and of the codes, that speech should have.
LOG_FLOOR = 1e-3
HIFI_FIRST = 45


class MultiScaleMelLoss(nn.Module):
    """Distance of mel spectrograms at several window lengths, hop a quarter of the window.

    ``paper``: 64 bands at every scale s, L1 of magnitudes plus ``sqrt(s / 2)`` times the L2 norm of log
    magnitudes, averaged over frames and bands. ``log``: L1 of log magnitudes, with as many bands as the
    window can tell apart, averaged over scales; better behaved with few steps, because quiet parts count as
    much as loud ones. ``hifi``: HiFi-Codec's, L1 of log magnitudes of 80 bands of unit area at every scale,
    the first of which counts ``HIFI_FIRST`` times as much as each other; hop 15/64 of the window (240 of
    1024).
    """

    def __init__(self, sample_rate: int, windows: tuple[int, ...], style: str = "paper"):
        super().__init__()
        self.windows, self.style = windows, style
        for size in windows:
            bands = {"paper": 64, "hifi": 80}.get(style, max(5, min(128, size // 8)))
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)
            filters = torch.from_numpy(mel_filters(sample_rate, size, bands)).float()
            if style == "log":
                # Means instead of sums over a band and a window, so that one floor suits all scales.
                filters = filters / filters.sum(0).clamp(min=1e-6) / math.sqrt(size * 3 / 8)
            if style == "hifi":
                filters = filters / filters.sum(0).clamp(min=1e-6) * size / sample_rate
            self.register_buffer(f"filters_{size}", filters, persistent=False)

    def mel(self, wav: Tensor, size: int) -> Tensor:
        """Mel magnitudes (B, bands, frames) of ``(B, S)`` samples."""
        window = getattr(self, f"window_{size}")
        hop = size * 15 // 64 if self.style == "hifi" else size // 4
        spectra = torch.stft(wav, size, hop, window=window, pad_mode="constant", return_complex=True)
        # The root of a sum with a floor, because the gradient of abs() has no limit at zero.
        magnitude = (spectra.real.square() + spectra.imag.square() + 1e-9).sqrt()
        return getattr(self, f"filters_{size}").T @ magnitude

    def forward(self, decoded: Tensor, target: Tensor) -> Tensor:
        """Mean loss of ``decoded`` (B, S) against ``target`` (B, S)."""
        with torch.autocast(decoded.device.type, enabled=False):
            losses = [self._scale(decoded.float(), target.float(), size) for size in self.windows]
        if self.style == "hifi":
            return losses[0] + sum(losses[1:]) / HIFI_FIRST
        total = torch.stack(losses).sum()
        return total if self.style == "paper" else total / len(losses)

    def _scale(self, decoded: Tensor, target: Tensor, size: int) -> Tensor:
        got = self.mel(decoded, size)
        with torch.no_grad():
            wanted = self.mel(target, size)
        if self.style == "hifi":
            return (got.clamp(min=1e-5).log() - wanted.clamp(min=1e-5).log()).abs().mean()
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


def discriminator_least_squares(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Least-squares loss of the discriminators, summed over them, mean over time (HiFi-GAN, equation 1)."""
    losses = [(1 - r.float()).square().mean() + f.float().square().mean() for r, f in zip(real, fake)]
    return torch.stack(losses).sum()


def generator_least_squares(fake: list[Tensor]) -> Tensor:
    """Adversarial loss of the codec (HiFi-GAN, equation 2)."""
    return torch.stack([(1 - f.float()).square().mean() for f in fake]).sum()


def feature_matching_sum(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Twice the L1 between the discriminators' layers, summed over discriminators and layers (HiFi-Codec)."""
    return 2 * feature_matching(real, fake) * sum(len(layers) for layers in fake)


class AdversarialLosses(NamedTuple):
    """What a codec and its discriminators want of each other."""

    name: str  # of the discriminators' loss, in logs
    discriminator: Callable[[list[Tensor], list[Tensor]], Tensor]
    generator: Callable[[list[Tensor]], Tensor]
    features: Callable[[list[list[Tensor]], list[list[Tensor]]], Tensor]


ADVERSARIAL_LOSSES = {  # by loss.discriminators
    "soundstream": AdversarialLosses("hinge", discriminator_hinge, generator_hinge, feature_matching),
    "hifi": AdversarialLosses(
        "least_squares", discriminator_least_squares, generator_least_squares, feature_matching_sum
    ),
}
