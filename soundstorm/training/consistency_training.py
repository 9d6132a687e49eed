"""From data directories and a model of speech to a trained acoustic consistency network."""

from __future__ import annotations

from pathlib import Path

import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.consistency_dataset import ConsistencyDataset
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.data.experiment import recorded_setting, start_experiment
from soundstorm.models.consistency import build_consistency
from soundstorm.models.consistency_config import ConsistencyConfig, DataSources
from soundstorm.models.hub import pinned
from soundstorm.training.consistency_step import ConsistencyStep
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig


def train_consistency(
    train_data: str,
    valid_data: str,
    *,
    ssl_model: str,
    expdir: Path,
    model_config: ConsistencyConfig,
    crop_config: CropConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train the network on original recordings.

    Args:
        train_data: Data directory.
        valid_data: Another, to watch the training.
        ssl_model: As of :func:`soundstorm.models.consistency.build_consistency`.
        expdir: Experiment directory.
        model_config: Of the network.
        crop_config: Of the crops.
        trainer_config: Of the loop.
        command: For the record.
    """
    sections = {"model": model_config, "crops": crop_config, "training": trainer_config}
    ssl_model = pinned(str(ssl_model), recorded=recorded_setting(expdir, "data", "ssl_model"))
    data = DataSources(str(train_data), str(valid_data), ssl_model)
    start_experiment(expdir, {**sections, "data": data}, command)
    torch.manual_seed(trainer_config.seed)
    network, features, do_normalize, sample_rate = build_consistency(model_config, ssl_model)

    def dataset(data_dir: str) -> ConsistencyDataset:
        return ConsistencyDataset(
            Utterances(data_dir, sample_rate, lower=True), crop_config, do_normalize=do_normalize
        )

    train(
        ConsistencyStep(network, features), dataset(train_data), dataset(valid_data), trainer_config, expdir
    )
