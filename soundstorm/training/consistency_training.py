"""From data directories and a model of speech to a trained acoustic consistency network."""

from __future__ import annotations

import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.consistency_dataset import ConsistencyDataset
from soundstorm.data.experiment import recorded_setting, start_experiment
from soundstorm.models.consistency import build_consistency
from soundstorm.models.consistency_config import DataSources
from soundstorm.models.hub import pinned
from soundstorm.training.consistency_step import ConsistencyStep
from soundstorm.training.training_run import TrainingRun


def train_consistency(run: TrainingRun, ssl_model: str) -> None:
    """Train the network on original recordings.

    Args:
        run: with sections ``model`` and ``crops``.
        ssl_model: As of :func:`soundstorm.models.consistency.build_consistency`.
    """
    config = run.config
    ssl_model = pinned(str(ssl_model), recorded=recorded_setting(run.expdir, "data", "ssl_model"))
    data = DataSources(str(run.train_data), str(run.valid_data), ssl_model)
    start_experiment(run.expdir, {**config, "data": data}, run.command)
    torch.manual_seed(config["training"].seed)
    network, features, do_normalize, sample_rate = build_consistency(config["model"], ssl_model)
    sets = [
        ConsistencyDataset(Utterances(data_dir, sample_rate, lower=True), config["crops"], do_normalize=do_normalize)
        for data_dir in run.data_dirs
    ]
    run.train(ConsistencyStep(network, features), *sets)
