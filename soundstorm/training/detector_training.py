"""From recordings and generated speech to a trained detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.datasets.detector_dataset import DetectorDataset
from soundstorm.data.experiment import is_finished, start_experiment
from soundstorm.data.log_mel import LogMel
from soundstorm.models.detector import Detector, load_detector
from soundstorm.models.detector_config import DetectorConfig
from soundstorm.training.detector_step import DetectorStep
from soundstorm.training.trainer import train


def train_detector(
    real: Sequence[np.ndarray],
    generated: Sequence[np.ndarray],
    *,
    expdir: str | Path,
    config: dict,
    command: list[str],
    device: str = "cpu",
) -> Callable[[np.ndarray], np.ndarray]:
    """Train a detector, or go on training it, or load it where it is trained.

    Args:
        real: recordings, float32 (S,) at 16 kHz.
        generated: the same of generated speech.
        expdir: experiment directory.
        config: sections ``model``, ``training``, and ``data``: what the recordings are, to notice that they change.
        command: for the record.
        device: where the result works.

    Returns:
        As :func:`soundstorm.models.detector.load_detector`.
    """
    start_experiment(expdir, config, command)
    if not is_finished(expdir):
        model_config: DetectorConfig = config["model"]
        log_mel = LogMel(model_config.num_mels)
        spectra = [[log_mel(torch.from_numpy(wav)) for wav in wavs] for wavs in (real, generated)]
        torch.manual_seed(config["training"].seed)
        model = Detector(model_config)
        _normalize(model, spectra[0] + spectra[1])
        train(DetectorStep(model), DetectorDataset(*spectra, model.crop), None, config["training"], expdir)
    return load_detector(expdir, device=device)


def _normalize(model: Detector, spectra: Sequence[Tensor]) -> None:
    frames = torch.cat(list(spectra))
    model.mean.copy_(frames.mean(0))
    model.deviation.copy_(frames.std(0, unbiased=False) + 1e-4)
