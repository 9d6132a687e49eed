"""Discriminators of SoundStream (section III.D): waves at three rates, and complex spectra."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.hifi_discriminators import HifiDiscriminators


class WaveDiscriminator(nn.Module):
    """Plain convolution, four grouped ones that downsample by 4 each, two plain ones."""

    def __init__(self, channels: int = 16, max_channels: int = 1024):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(1, channels, 15, padding=7)]
        for _ in range(4):
            wider = min(4 * channels, max_channels)
            groups = max(1, channels // 4)  # four input channels a group
            layers.append(nn.Conv1d(channels, wider, 41, stride=4, padding=20, groups=groups))
            channels = wider
        layers.append(nn.Conv1d(channels, channels, 5, padding=2))
        layers.append(nn.Conv1d(channels, 1, 3, padding=1))
        self.layers = nn.ModuleList(layers)

    def forward(self, wav: Tensor) -> list[Tensor]:
        """Outputs of every layer for ``wav`` (B, S); the last is the judgement (B, 1, frames)."""
        x, outputs = wav[:, None], []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
            x = F.leaky_relu(x, 0.2)
        return outputs


class SpectrumBlock(nn.Module):
    """Residual block over time and frequency that halves frequency and, every other time, time."""

    def __init__(self, inputs: int, outputs: int, strides: tuple[int, int]):
        super().__init__()
        kernel = (strides[0] + 2, strides[1] + 2)
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(inputs, outputs, kernel, stride=strides, padding=(1, 1))
        self.strides = strides
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T, F)`` to ``(B, C', T / strides[0], F / strides[1])``."""
        main = self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2))
        # Strides by slicing: a strided convolution of kernel 1 corrupts memory in the backward pass of torch
        # 2.13 on a CPU when there are fewer than 16 channels, and this is the same and no slower.
        skip = self.skip(x[..., :: self.strides[0], :: self.strides[1]])
        return main + skip[..., : main.shape[-2], : main.shape[-1]]


class StftDiscriminator(nn.Module):
    """Judges real and imaginary parts of a short-time spectrum as a picture with two channels."""

    def __init__(self, channels: int = 32, window: int = 1024, hop: int = 256):
        super().__init__()
        self.window_size, self.hop = window, hop
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.first = nn.Conv2d(2, channels, 7, padding=3)
        widths = [channels * factor for factor in (1, 2, 4, 4, 8, 8, 16)]
        strides = [(1, 2), (2, 2)] * 3  # (time, frequency)
        self.blocks = nn.ModuleList(SpectrumBlock(*pair) for pair in zip(widths, widths[1:], strides))
        self.last = nn.Conv2d(widths[-1], 1, (1, window // 2 // 2**6))

    def forward(self, wav: Tensor) -> list[Tensor]:
        """Outputs of every layer for ``wav`` (B, S); the last is the judgement (B, 1, frames, 1)."""
        with torch.autocast(wav.device.type, enabled=False):
            spectra = torch.stft(
                wav.float(),
                self.window_size,
                self.hop,
                window=self.window,
                pad_mode="constant",
                return_complex=True,
            )
            # Nyquist is dropped: a power of two of bins halves without remainders.
            picture = torch.view_as_real(spectra[:, :-1]).permute(0, 3, 2, 1)  # (B, 2, frames, bins)
        x = self.first(picture)
        outputs = [x]
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        outputs.append(self.last(F.leaky_relu(x, 0.2)))
        return outputs


class Discriminators(nn.Module):
    """All of them. Each wave discriminator hears the signal at half the rate of the one before."""

    def __init__(self, waves: list[nn.Module], spectra: list[nn.Module]):
        super().__init__()
        self.waves, self.spectra = nn.ModuleList(waves), nn.ModuleList(spectra)

    def forward(self, wav: Tensor) -> list[list[Tensor]]:
        """Layers' outputs of each discriminator for ``wav`` (B, S)."""
        results = []
        slower = wav
        for index, discriminator in enumerate(self.waves):
            if index:
                slower = F.avg_pool1d(slower[:, None], 4, stride=2, padding=1)[:, 0]
            results.append(discriminator(slower))
        return results + [discriminator(wav) for discriminator in self.spectra]

    def features(self, outputs: list[list[Tensor]]) -> list[list[Tensor]]:
        """The layers that the feature loss compares: all but the judgements."""
        return [layers[:-1] for layers in outputs]


def build_discriminators(config: CodecLossConfig) -> nn.Module:
    """The discriminators that a configuration asks for, called as :class:`Discriminators` are."""
    if config.discriminators == "hifi":
        return HifiDiscriminators(config)
    waves = [
        WaveDiscriminator(config.wave_channels, config.wave_max_channels)
        for _ in range(config.wave_discriminators)
    ]
    spectra = []
    if config.stft_discriminator:
        spectra.append(StftDiscriminator(config.stft_channels, config.stft_window, config.stft_hop))
    return Discriminators(waves, spectra)
