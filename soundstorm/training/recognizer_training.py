"""From transcribed data directories to a trained recogniser."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.characters import build_vocabulary
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.data.datasets.recognizer_dataset import RecognizerDataset
from soundstorm.data.experiment import start_experiment
from soundstorm.data.log_mel import SAMPLE_RATE
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.recognizer_step import RecognizerStep
from soundstorm.training.training_run import TrainingRun


def train_recognizer(run: TrainingRun, *, texts: Mapping[str, Mapping[str, str]]) -> None:
    """Train a CTC recogniser on original recordings.

    Args:
        run: with sections ``model`` and ``augment``.
        texts: for each of the data directories, utterance to normalised text.
    """
    config: RecognizerConfig = run.config["model"]
    vocabulary = build_vocabulary(texts[run.train_data].values())
    data = {"train_data": run.train_data, "valid_data": run.valid_data}
    start_experiment(run.expdir, {**run.config, "data": data, "vocabulary": vocabulary}, run.command)
    torch.manual_seed(run.config["training"].seed)
    model = CtcNetwork(config, len(vocabulary))

    def dataset(data_dir: str, augmentation: AugmentConfig | None) -> RecognizerDataset:
        utterances = Utterances(data_dir, SAMPLE_RATE, lower=True)
        sizes = {"num_mels": config.num_mels, "stack": config.stack}
        return RecognizerDataset(utterances, texts[data_dir], vocabulary, augmentation=augmentation, **sizes)

    sets = dataset(run.train_data, run.config["augment"]), dataset(run.valid_data, None)
    run.train(RecognizerStep(model, vocabulary), *sets)
