"""Tells recordings from generated speech, a second at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundstorm.models.convnext import ConvNeXtStack
from soundstorm.models.detector_config import DetectorConfig
from soundstorm.models.recognizer import HOP, SAMPLE_RATE


class Detector(nn.Module):
    """ConvNeXt blocks, mean over time, one number."""

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.crop = max(1, round(config.crop_seconds * SAMPLE_RATE / HOP))  # spectra
        # Of each mel band over the training recordings; a recording of its own would hide how even its spectra are.
        self.register_buffer("mean", torch.zeros(config.num_mels))
        self.register_buffer("deviation", torch.ones(config.num_mels))
        self.stack = ConvNeXtStack(config.num_mels, config.width, config.expansion, config.blocks, config.kernel)
        self.output = nn.Linear(config.width, 1)

    def forward(self, spectra: Tensor) -> Tensor:
        """Log-mel magnitudes (B, F, M) to logits (B,), above 0 for generated speech."""
        inside = torch.ones(spectra.shape[:2], dtype=torch.bool, device=spectra.device)
        hidden = self.stack((spectra - self.mean) / self.deviation, inside)
        return self.output(hidden.mean(1))[:, 0]
