"""Assembles codec training from settings and data directories."""

from __future__ import annotations

import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.audio_crop_dataset import AudioCropDataset
from soundstorm.data.experiment import start_experiment
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.codec_config import CodecConfig, CodecLossConfig
from soundstorm.models.codec.discriminators import build_discriminators
from soundstorm.training.codec_step import CodecStep
from soundstorm.training.training_run import TrainingRun


def train_codec(run: TrainingRun) -> None:
    """Train a codec by sections ``model``, ``loss`` and ``data``."""
    model: CodecConfig = run.config["model"]
    loss: CodecLossConfig = run.config["loss"]
    start_experiment(run.expdir, run.config, run.command)
    crop_seconds = run.config["data"].crop_seconds
    sets = [AudioCropDataset(Utterances(data_dir, model.sample_rate), crop_seconds) for data_dir in run.data_dirs]
    torch.manual_seed(run.config["training"].seed)  # the same first weights on every process
    step = CodecStep(
        build_codec(model),
        build_discriminators(loss) if loss.adversarial else None,
        loss,
        sample_rate=model.sample_rate,
        quantizer_dropout=model.quantizer_dropout,
    )
    run.train(step, *sets)
