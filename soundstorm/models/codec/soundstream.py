"""SoundStream's encoder and decoder (Zeghidour et al., 2021, section III.A and III.B): causal SEANet with
ELU.

Frame t of the encoder depends on samples before ``(t + 1) * hop`` only, and sample s of the decoder on frames
up to ``s // hop`` only; tests hold both. Being causal, neither needs a mask for padded batches.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class CausalConv1d(nn.Module):
    """Convolution that pads on the left only; a strided one gives S / stride outputs."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.padding = (kernel_size - 1) * dilation + 1 - stride
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, stride=stride, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to ``(B, C', T / stride)``."""
        return self.conv(F.pad(x, (self.padding, 0)))


class CausalConvTranspose1d(nn.Module):
    """Upsampling by ``stride`` with a kernel twice as long, without the outputs that would need later
    inputs.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv = nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to ``(B, C', T * stride)``."""
        return self.conv(x)[..., : x.shape[-1] * self.stride]


class ResidualUnit(nn.Module):
    """Dilated convolution of kernel 7, then one of kernel 1, added to the input."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ELU(),
            CausalConv1d(channels, channels, 7, dilation=dilation),
            nn.ELU(),
            CausalConv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to the same."""
        return x + self.layers(x)


def _residual_units(channels: int) -> list[nn.Module]:
    return [ResidualUnit(channels, dilation) for dilation in (1, 3, 9)]


class SEANetEncoder(nn.Module):
    """Waveform to latents; channels double at each downsampling."""

    def __init__(self, *, channels: int, latent_dim: int, strides: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = [CausalConv1d(1, channels, 7)]
        for stride in strides:
            layers += _residual_units(channels)
            layers += [nn.ELU(), CausalConv1d(channels, 2 * channels, 2 * stride, stride=stride)]
            channels *= 2
        self.layers = nn.Sequential(*layers, nn.ELU(), CausalConv1d(channels, latent_dim, 3))

    def forward(self, wav: Tensor, mask: Tensor) -> Tensor:
        """(B, T * hop) samples to latents (B, T, D)."""
        return self.layers(wav[:, None]).mT


class SEANetDecoder(nn.Module):
    """Mirror image of the encoder."""

    def __init__(self, *, channels: int, latent_dim: int, strides: tuple[int, ...]):
        super().__init__()
        channels *= 2 ** len(strides)
        layers: list[nn.Module] = [CausalConv1d(latent_dim, channels, 7)]
        for stride in reversed(strides):
            layers += [nn.ELU(), CausalConvTranspose1d(channels, channels // 2, stride)]
            channels //= 2
            layers += _residual_units(channels)
        self.layers = nn.Sequential(*layers, nn.ELU(), CausalConv1d(channels, 1, 7))

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Latents (B, T, D) to samples (B, T * hop)."""
        return self.layers(latents.mT)[:, 0]
