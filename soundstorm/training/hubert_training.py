"""From recordings and their labels to a pre-trained HuBERT in a transformers directory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.dataset_configs import HubertDataConfig
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_first_process, load_weights, start_experiment
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import build_hubert_pretraining, frame_padding
from soundstorm.training.hubert_step import HubertStep, export_hubert, make_dataset
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)


def pretrain_hubert(
    train_data: str,
    valid_data: str,
    *,
    labels: Mapping[str, Mapping[str, np.ndarray]],
    label_info: TokenizerInfo,
    expdir: str | Path,
    model_config: HubertPretrainingConfig,
    data_config: HubertDataConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train, then write ``expdir/hubert``.

    Args:
        train_data: data directory.
        valid_data: another, to watch the training.
        labels: for each of the two, utterance to labels ``(T,)``; utterances without any are left out.
        label_info: who made the labels.
        expdir: the experiment directory.
        model_config: of the network and its task.
        data_config: of the examples.
        trainer_config: of the loop.
        command: for the record.

    Raises:
        ValueError: labels come at another rate than the network's frames.
    """
    expdir = Path(expdir)
    sections = {"model": model_config, "data": data_config, "training": trainer_config}
    sections |= {"labels": label_info, "sets": {"train": str(train_data), "valid": str(valid_data)}}
    start_experiment(expdir, sections, command)
    torch.manual_seed(trainer_config.seed)
    model = build_hubert_pretraining(
        model_config, label_info.codebook_size, sample_rate=label_info.sample_rate
    )
    hop, _ = frame_padding(model.hubert.config)
    if label_info.frame_rate * hop != label_info.sample_rate:
        raise InputError(
            f"labels of {label_info.name} come {label_info.frame_rate:g} times a second, but "
            "model.conv_strides make "
            f"{label_info.sample_rate / hop:g} frames a second; choose strides whose product is "
            f"{label_info.sample_rate / label_info.frame_rate:g}"
        )
    logger.info("%.2f M parameters", sum(p.numel() for p in model.parameters()) / 1e6)
    sets = {name: Utterances(name, label_info.sample_rate, lower=True) for name in (train_data, valid_data)}
    datasets = [
        make_dataset(
            sets[data_dir].part([utt for utt in sets[data_dir].ids if utt in labels[data_dir]]),
            labels[data_dir],
            model,
            crop_seconds=data_config.crop_seconds,
            normalize=model_config.normalize,
        )
        for data_dir in (train_data, valid_data)
    ]
    train(HubertStep(model, unmasked_weight=model_config.unmasked_weight), *datasets, trainer_config, expdir)
    if is_first_process():
        # Another one: the weights of that may lie in shares on all processes.
        model = build_hubert_pretraining(
            model_config, label_info.codebook_size, sample_rate=label_info.sample_rate
        )
        load_weights(expdir, model)
        export_hubert(
            model.hubert,
            expdir / "hubert",
            normalize=model_config.normalize,
            sample_rate=label_info.sample_rate,
        )
