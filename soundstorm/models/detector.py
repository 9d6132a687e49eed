"""Tells recordings from generated speech, a second at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundstorm.data.experiment import load_weights, read_config
from soundstorm.data.log_mel import HOP, SAMPLE_RATE, LogMel
from soundstorm.data.records import make_record
from soundstorm.models.convnext import ConvNeXtStack
from soundstorm.models.detector_config import DetectorConfig


class Detector(nn.Module):
    """ConvNeXt blocks, mean over time, one number."""

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.crop = max(1, round(config.crop_seconds * SAMPLE_RATE / HOP))  # spectra
        # Of each mel band over the training set; a recording's own would hide how even its spectra are.
        self.register_buffer("mean", torch.zeros(config.num_mels))
        self.register_buffer("deviation", torch.ones(config.num_mels))
        self.stack = ConvNeXtStack(
            config.num_mels, config.width, config.expansion, config.blocks, config.kernel
        )
        self.output = nn.Linear(config.width, 1)

    def forward(self, spectra: Tensor) -> Tensor:
        """Log-mel magnitudes (B, F, M) to logits (B,), above 0 for generated speech."""
        inside = torch.ones(spectra.shape[:2], dtype=torch.bool, device=spectra.device)
        hidden = self.stack((spectra - self.mean) / self.deviation, inside)
        return self.output(hidden.mean(1))[:, 0]


def load_detector(expdir: str | Path, *, device: str = "cpu") -> Callable[[np.ndarray], np.ndarray]:
    """A trained detector as a function from samples (S,) to logits of whole crops, one after the other."""
    config = make_record(DetectorConfig, read_config(expdir).get("model"), f"{expdir}/config.yaml, model")
    model = Detector(config)
    load_weights(expdir, model)
    model.to(device).eval()
    log_mel = LogMel(config.num_mels)

    @torch.inference_mode()
    def detect(wav: np.ndarray) -> np.ndarray:
        spectra = log_mel(torch.from_numpy(np.asarray(wav, dtype=np.float32)))
        number = len(spectra) // model.crop
        if number == 0:
            return np.zeros(0, np.float32)
        crops = spectra[: number * model.crop].view(number, model.crop, -1)
        return model(crops.to(device)).float().cpu().numpy()

    return detect
