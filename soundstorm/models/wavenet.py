"""WaveNet, a vocoder: every sample's distribution from those before it and from mel spectra."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.tacotron2_config import WaveNetConfig

# Frames beside a crop that its upsampled features depend on: two of the first convolution, and one at most of
# each of the two upsampling layers.
CONTEXT = 4


class Upsampling(nn.Module):
    """From frames to samples: stretched, then smoothed, by every factor (the paper has two of them)."""

    def __init__(self, channels: int, factors: tuple[int, ...]):
        super().__init__()
        self.factors = factors
        self.mix = nn.Conv1d(channels, channels, 5, bias=False)
        self.smooth = nn.ModuleList(nn.Conv1d(1, 1, 2 * factor + 1, bias=False) for factor in factors)
        for convolution, factor in zip(self.smooth, factors, strict=True):
            nn.init.constant_(convolution.weight, 1 / (2 * factor + 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, CONTEXT + F + CONTEXT, M) to (B, M, F * hop)."""
        values = self.mix(features.transpose(1, 2))
        batch, channels, _ = values.shape
        beside = CONTEXT - 2
        for convolution, factor in zip(self.smooth, self.factors, strict=True):
            stretched = values.repeat_interleave(factor, dim=2).reshape(batch * channels, 1, -1)
            values = F.conv1d(stretched, convolution.weight, padding=factor).view(batch, channels, -1)
            beside *= factor
        return values[:, :, beside : values.shape[2] - beside]


def with_context(features: Tensor) -> Tensor:
    """Frames ``(B, F, M)`` of whole utterances, the first and the last repeated beside them."""
    first, last = features[:, :1], features[:, -1:]
    return torch.cat([first.expand(-1, CONTEXT, -1), features, last.expand(-1, CONTEXT, -1)], dim=1)


class WaveNetLayer(nn.Module):
    """A dilated causal convolution, conditioned and gated, with ways to the next layer and to the output."""

    def __init__(self, config: WaveNetConfig, num_mels: int, dilation: int):
        super().__init__()
        self.dilation, self.kernel, self.dropout = dilation, config.kernel, config.dropout
        self.dilated = nn.Conv1d(config.residual, config.gate, config.kernel, dilation=dilation)
        self.condition = nn.Conv1d(num_mels, config.gate, 1, bias=False)
        self.to_skip = nn.Conv1d(config.gate // 2, config.skip, 1)
        self.to_residual = nn.Conv1d(config.gate // 2, config.residual, 1)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, R, S) and (B, M, S) to the next layer's (B, R, S) and the output's (B, K, S)."""
        inside = F.pad(F.dropout(x, self.dropout, self.training), ((self.kernel - 1) * self.dilation, 0))
        value, gate = (self.dilated(inside) + self.condition(condition)).chunk(2, dim=1)
        gated = torch.tanh(value) * torch.sigmoid(gate)
        return (x + self.to_residual(gated)) * math.sqrt(0.5), self.to_skip(gated)


class WaveNet(nn.Module):
    """Parameters of a mixture of logistics for every sample."""

    def __init__(self, config: WaveNetConfig, num_mels: int):
        """
        Args:
            config: sizes.
            num_mels: bands of the spectra, M.
        """
        super().__init__()
        self.config = config
        self.upsampling = Upsampling(num_mels, config.upsampling)
        self.first = nn.Conv1d(1, config.residual, 1)
        self.layers = nn.ModuleList(WaveNetLayer(config, num_mels, dilation) for dilation in config.dilations)
        self.hidden = nn.Conv1d(config.skip, config.skip, 1)
        self.last = nn.Conv1d(config.skip, 3 * config.mixtures, 1)

    @property
    def hop(self) -> int:
        """Samples to a frame."""
        return math.prod(self.config.upsampling)

    def output(self, skip: Tensor) -> Tensor:
        """(B, K, S), the sum over layers, to (B, 3 mixtures, S); always in float32, as levels are finer than bf16."""
        with torch.autocast(skip.device.type, enabled=False):
            scaled = skip.float() * math.sqrt(1 / len(self.layers))
            return self.last(F.relu(self.hidden(F.relu(scaled))))

    def forward(self, levels: Tensor, features: Tensor) -> Tensor:
        """Teacher forcing; the sample before the first is silence.

        Args:
            levels: ``(B, F * hop)`` samples in [-1, 1].
            features: ``(B, CONTEXT + F + CONTEXT, M)``.

        Returns:
            ``(B, F * hop, 3 * mixtures)``: of each sample, from those before it.
        """
        condition = self.upsampling(features)
        x = self.first(F.pad(levels, (1, 0))[:, None, :-1])
        skip = torch.zeros((), device=x.device)
        for layer in self.layers:
            x, part = layer(x, condition)
            skip = skip + part
        return self.output(skip).transpose(1, 2)
