"""From recordings and generated speech to a trained detector, and back to a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.experiment import is_finished, load_weights, read_config, start_experiment
from soundstorm.data.records import make_record
from soundstorm.models.detector import Detector
from soundstorm.models.detector_config import DetectorConfig
from soundstorm.models.recognizer import LogMel
from soundstorm.training.config import TrainerConfig
from soundstorm.training.detector_step import DetectorDataset, DetectorStep
from soundstorm.training.trainer import train

Detect = Callable[[np.ndarray], np.ndarray]  # samples (S,) to logits of whole crops, one after the other


def train_detector(
    real: Sequence[np.ndarray],
    generated: Sequence[np.ndarray],
    *,
    expdir: str | Path,
    model_config: DetectorConfig,
    trainer_config: TrainerConfig,
    data: dict,
    command: list[str],
    device: str = "cpu",
) -> Detect:
    """Train a detector, or go on training it, or load it where it is trained.

    Args:
        real: recordings, float32 (S,) at 16 kHz.
        generated: the same of generated speech.
        expdir: experiment directory.
        model_config: of the network.
        trainer_config: of the loop.
        data: what the recordings are, for the record and to notice that they have changed.
        command: for the record.
        device: where the result works.
    """
    start_experiment(expdir, {"model": model_config, "training": trainer_config, "data": data}, command)
    if not is_finished(expdir):
        log_mel = LogMel(model_config.num_mels)
        spectra = [[log_mel(torch.from_numpy(wav)) for wav in wavs] for wavs in (real, generated)]
        torch.manual_seed(trainer_config.seed)
        model = Detector(model_config)
        _normalize(model, spectra[0] + spectra[1])
        train(DetectorStep(model), DetectorDataset(*spectra, model.crop), None, trainer_config, expdir)
    return load_detector(expdir, device=device)


def _normalize(model: Detector, spectra: Sequence[Tensor]) -> None:
    frames = torch.cat(list(spectra))
    model.mean.copy_(frames.mean(0))
    model.deviation.copy_(frames.std(0, unbiased=False) + 1e-4)


def load_detector(expdir: str | Path, *, device: str = "cpu") -> Detect:
    """The detector of an experiment directory, as a function of a recording."""
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
