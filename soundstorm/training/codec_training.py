"""Assembles codec training from settings and data directories."""

from __future__ import annotations

from pathlib import Path

import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.audio_crop_dataset import AudioCropDataset
from soundstorm.data.datasets.dataset_configs import CodecDataConfig
from soundstorm.data.experiment import start_experiment
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.codec_config import CodecConfig, CodecLossConfig
from soundstorm.models.codec.discriminators import build_discriminators
from soundstorm.training.codec_step import CodecStep
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig


def train_codec(
    train_data: str | Path,
    valid_data: str | Path,
    *,
    expdir: str | Path,
    command: list[str],
    model: CodecConfig,
    loss: CodecLossConfig,
    data: CodecDataConfig,
    training: TrainerConfig,
) -> None:
    """Train a codec, or go on with a training that was interrupted.

    Args:
        train_data: data directory.
        valid_data: data directory.
        expdir: experiment directory to write.
        command: the command line, kept for people.
        model: architecture.
        loss: what it is trained for.
        data: what it sees of the corpus.
        training: how long and how fast.
    """
    settings = {"model": model, "loss": loss, "data": data, "training": training}
    start_experiment(expdir, settings, command)
    train_set = AudioCropDataset(Utterances(train_data, model.sample_rate), data.crop_seconds)
    valid_set = AudioCropDataset(Utterances(valid_data, model.sample_rate), data.crop_seconds)
    torch.manual_seed(training.seed)  # the same first weights on every process
    step = CodecStep(
        build_codec(model),
        build_discriminators(loss) if loss.adversarial else None,
        loss,
        sample_rate=model.sample_rate,
        quantizer_dropout=model.quantizer_dropout,
    )
    train(step, train_set, valid_set, training, expdir)
