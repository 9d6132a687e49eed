"""Encoder and decoder that work at the frame rate throughout, between a Fourier transform and its inverse.

No layer ever runs at the sample rate, and nearly all of the arithmetic is in dense layers over frames, which
makes this family many times faster than a convolutional one, above all on a CPU. The decoder's head is that
of Vocos (Siuzdak, 2023): log-magnitude and phase of every bin, then the inverse transform.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.convnext import ConvNeXtStack


class FrameSpectrum(nn.Module):
    """Short-time spectra centred on frames of ``hop`` samples, and back: S = T * hop both ways."""

    def __init__(self, n_fft: int, hop: int):
        super().__init__()
        self.n_fft, self.hop, self.margin = n_fft, hop, (n_fft - hop) // 2
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """Complex spectra (B, T, n_fft / 2 + 1) of ``(B, T * hop)`` samples."""
        # Zeros, not reflections: an example then looks the same whatever its neighbours' padding.
        frames = F.pad(wav, (self.margin, self.margin)).unfold(-1, self.n_fft, self.hop)
        return torch.fft.rfft(frames * self.window)

    def inverse(self, spectra: Tensor, mask: Tensor) -> Tensor:
        """Overlap-add; frames outside the mask (B, T) count neither in the sum nor in its normalization."""
        frames = torch.fft.irfft(spectra, n=self.n_fft) * self.window * mask[..., None]
        weights = self.window.square() * mask[..., None]
        return self._overlap_add(frames) / self._overlap_add(weights).clamp(min=1e-3)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        num_frames = frames.shape[1]
        length = (num_frames - 1) * self.hop + self.n_fft
        summed = F.fold(frames.mT, (1, length), (1, self.n_fft), stride=(1, self.hop))[:, 0, 0]
        return summed[:, self.margin : self.margin + num_frames * self.hop]


class SpectrumEncoder(nn.Module):
    """Waveform to latents."""

    def __init__(
        self, *, n_fft: int, hop: int, width: int, expansion: int, num_blocks: int, kernel_size: int
    ):
        super().__init__()
        self.spectrum = FrameSpectrum(n_fft, hop)
        self.stack = ConvNeXtStack(3 * (n_fft // 2 + 1), width, expansion, num_blocks, kernel_size)
        self.project = nn.Linear(width, width)

    def forward(self, wav: Tensor, mask: Tensor) -> Tensor:
        """(B, T * hop) samples and the mask (B, T) of real frames to latents (B, T, D)."""
        with torch.autocast(wav.device.type, enabled=False):
            features = self.features(wav.float())
        return self.project(self.stack(features, mask))

    def features(self, wav: Tensor) -> Tensor:
        """Log-magnitude, and the phase as cosine and sine weighted by the compressed magnitude: (B, T, 3 F).

        The phase of a bin without energy is noise; the weight keeps that noise out of the network.
        """
        spectra = self.spectrum(wav)
        magnitude = spectra.abs().clamp(min=1e-5)
        phase = spectra / magnitude.pow(0.7)
        return torch.cat([magnitude.log() / 4, phase.real, phase.imag], dim=-1)


class SpectrumDecoder(nn.Module):
    """Latents to waveform by way of log-magnitude and phase."""

    def __init__(
        self, *, n_fft: int, hop: int, width: int, expansion: int, num_blocks: int, kernel_size: int
    ):
        super().__init__()
        self.spectrum = FrameSpectrum(n_fft, hop)
        self.stack = ConvNeXtStack(width, width, expansion, num_blocks, kernel_size)
        self.head = nn.Linear(width, 2 * (n_fft // 2 + 1))

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Latents (B, T, D) and the mask (B, T) of real frames to samples (B, T * hop)."""
        bins = self.head(self.stack(latents, mask))
        with torch.autocast(bins.device.type, enabled=False):
            log_magnitude, phase = bins.float().chunk(2, dim=-1)
            # The bound is far above speech and only keeps an early step from overflowing.
            spectra = torch.polar(log_magnitude.clamp(max=6.0).exp(), phase)
            return self.spectrum.inverse(spectra, mask)
