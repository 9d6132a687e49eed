"""Encoder and decoder of HiFi-Codec (Yang et al., 2023, arXiv 2305.02765): HiFi-GAN's generator (Kong et al.,
2020), and its mirror image before the quantizer.

Their convolutions look to both sides, so what lies beyond an example's end is set to zero before each of
them: an example is then the same alone and in any batch. ESPnet's blocks take no mask, hence these; without
padding they are equal (tests/models/codec/test_hifi.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

DILATIONS = (1, 3, 5)
SLOPE = 0.1  # of LeakyReLU, but before the last convolution, which has PyTorch's 0.01
NORM_CHANNELS = 16  # in a group of the encoder's normalization


def _conv(inputs: int, outputs: int, kernel_size: int, dilation: int = 1) -> nn.Module:
    padding = (kernel_size - 1) // 2 * dilation
    return weight_norm(nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation, padding=padding))


def _resampling(kind: type[nn.Module], inputs: int, outputs: int, stride: int) -> nn.Module:
    kernel_size = 2 * stride + stride % 2  # 4, 8, 11, 16: T * stride samples become T, and the reverse
    padding = (kernel_size - stride) // 2
    return weight_norm(kind(inputs, outputs, kernel_size, stride=stride, padding=padding))


class ResidualBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair added to its input (HiFi-GAN's ResBlock1)."""

    def __init__(self, channels: int, kernel_size: int):
        super().__init__()
        self.dilated = nn.ModuleList(_conv(channels, channels, kernel_size, d) for d in DILATIONS)
        self.plain = nn.ModuleList(_conv(channels, channels, kernel_size) for _ in DILATIONS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, S)`` and a mask ``(B, 1, S)`` to the same shape; whatever beyond the mask."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            inner = dilated(F.leaky_relu(x, SLOPE) * mask)
            x = x + plain(F.leaky_relu(inner, SLOPE) * mask)
        return x


class MaskedGroupNorm(nn.GroupNorm):
    """Group normalization over what is no padding. (Over all, an example would depend on its neighbours.)"""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, S)`` and a mask ``(B, 1, S)`` to the same shape."""
        with torch.autocast(x.device.type, enabled=False):
            grouped, inside = x.float().unflatten(1, (self.num_groups, -1)), mask[:, None].float()
            size = inside.sum((2, 3), keepdim=True).clamp(min=1) * grouped.shape[2]
            centred = grouped - (grouped * inside).sum((2, 3), keepdim=True) / size
            variance = (centred.square() * inside).sum((2, 3), keepdim=True) / size
            normal = (centred * (variance + self.eps).rsqrt()).flatten(1, 2)
            return (normal * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


class Downsampling(nn.Module):
    """A strided convolution, then the mean of residual blocks; every sum on the way to it is normalized."""

    def __init__(self, channels: int, stride: int, kernels: tuple[int, ...]):
        super().__init__()
        self.stride = _resampling(nn.Conv1d, channels, 2 * channels, stride)
        channels *= 2
        self.residual = nn.ModuleList(ResidualBlock(channels, kernel) for kernel in kernels[::-1])
        groups = max(1, channels // NORM_CHANNELS)
        self.norms = nn.ModuleList(MaskedGroupNorm(groups, channels, eps=1e-6) for _ in kernels)

    def forward(self, x: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """``(B, C, S)`` to ``(B, 2 C, S / stride)``; the masks ``(B, 1, ...)`` are of its input and output."""
        x = self.stride(F.leaky_relu(x, SLOPE) * before)
        total: Tensor | float = 0.0
        for block, norm in zip(self.residual, self.norms, strict=True):
            total = norm(total + block(x, after), after)
        return total / len(self.residual)


class Upsampling(nn.Module):
    """A transposed convolution, then the mean of residual blocks."""

    def __init__(self, channels: int, stride: int, kernels: tuple[int, ...]):
        super().__init__()
        self.stride = _resampling(nn.ConvTranspose1d, channels, channels // 2, stride)
        self.residual = nn.ModuleList(ResidualBlock(channels // 2, kernel) for kernel in kernels)

    def forward(self, x: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """``(B, C, S)`` to ``(B, C / 2, S * stride)``; the masks ``(B, 1, ...)`` are of its input and output."""
        x = self.stride(F.leaky_relu(x, SLOPE) * before)
        return sum(block(x, after) for block in self.residual) / len(self.residual)


class HifiEncoder(nn.Module):
    """Waveform to latents; channels double at each downsampling, and are those of the latents at last."""

    def __init__(self, *, channels: int, strides: tuple[int, ...], kernels: tuple[int, ...]):
        super().__init__()
        self.strides = strides
        self.first = _conv(1, channels, 7)
        self.blocks = nn.ModuleList(
            Downsampling(channels * 2**rate, stride, kernels) for rate, stride in enumerate(strides)
        )
        width = channels * 2 ** len(strides)
        self.last = _conv(width, width, 3)

    def forward(self, wav: Tensor, mask: Tensor) -> Tensor:
        """(B, T * hop) samples and the mask (B, T) of real frames to latents (B, T, D)."""
        masks = _masks(mask, self.strides[::-1])[::-1]
        x = self.first(wav[:, None] * masks[0])
        for rate, block in enumerate(self.blocks):
            x = block(x, masks[rate], masks[rate + 1])
        return self.last(F.leaky_relu(x) * masks[-1]).mT


class HifiDecoder(nn.Module):
    """Latents to waveform: HiFi-GAN's generator."""

    def __init__(
        self, latent_dim: int, *, channels: int, strides: tuple[int, ...], kernels: tuple[int, ...]
    ):
        super().__init__()
        self.strides = strides[::-1]
        self.first = _conv(latent_dim, channels, 7)
        self.blocks = nn.ModuleList(
            Upsampling(channels // 2**rate, stride, kernels) for rate, stride in enumerate(self.strides)
        )
        self.last = _conv(channels // 2 ** len(strides), 1, 7)

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Latents (B, T, D) and the mask (B, T) of real frames to samples (B, T * hop)."""
        masks = _masks(mask, self.strides)
        x = self.first(latents.mT * masks[0])
        for rate, block in enumerate(self.blocks):
            x = block(x, masks[rate], masks[rate + 1])
        return self.last(F.leaky_relu(x) * masks[-1]).tanh()[:, 0]


def _masks(mask: Tensor, factors: tuple[int, ...]) -> list[Tensor]:
    """The mask (B, T) of frames as ``(B, 1, T)``, and at each of the higher rates."""
    masks = [mask[:, None]]
    for factor in factors:
        masks.append(masks[-1].repeat_interleave(factor, dim=-1))
    return masks
