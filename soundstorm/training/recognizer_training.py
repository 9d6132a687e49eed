"""From transcribed data directories to a trained recogniser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig


def train_recognizer(
    train_data: str,
    valid_data: str,
    *,
    texts: Mapping[str, Mapping[str, str]],
    expdir: Path,
    model_config: RecognizerConfig,
    augment_config: AugmentConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train a CTC recogniser.

    Args:
        train_data: data directory of original recordings.
        valid_data: another, to watch the training.
        texts: for each of the two directories, utterance to normalised text.
        expdir: experiment directory.
        model_config: of the network.
        augment_config: of the spectra.
        trainer_config: of the loop.
        command: for the record.
    """
    vocabulary = build_vocabulary(texts[train_data].values())
    start_experiment(
        expdir,
        {
            "model": model_config,
            "augment": augment_config,
            "training": trainer_config,
            "data": {"train_data": train_data, "valid_data": valid_data},
            "vocabulary": vocabulary,
        },
        command,
    )
    torch.manual_seed(trainer_config.seed)
    model = CtcNetwork(model_config, len(vocabulary))

    def dataset(data_dir: str, augmentation: AugmentConfig | None) -> RecognizerDataset:
        utterances = Utterances(data_dir, SAMPLE_RATE, lower=True)
        sizes = {"num_mels": model_config.num_mels, "stack": model_config.stack}
        return RecognizerDataset(utterances, texts[data_dir], vocabulary, augmentation=augmentation, **sizes)

    step = RecognizerStep(model, vocabulary)
    train(step, dataset(train_data, augment_config), dataset(valid_data, None), trainer_config, expdir)
