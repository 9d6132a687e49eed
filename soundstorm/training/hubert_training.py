"""From recordings and their labels to a pre-trained HuBERT in a transformers directory."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import Utterances
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_first_process, load_weights, start_experiment
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import build_hubert_pretraining, frame_padding
from soundstorm.training.hubert_step import HubertStep, export_hubert, make_dataset
from soundstorm.training.training_run import TrainingRun

logger = logging.getLogger(__name__)


def pretrain_hubert(
    run: TrainingRun, *, labels: Mapping[str, Mapping[str, np.ndarray]], label_info: TokenizerInfo
) -> None:
    """Train, then write ``expdir/hubert``.

    Args:
        run: with sections ``model`` and ``data``.
        labels: for each of the data directories, utterance to labels ``(T,)``; utterances without any are left out.
        label_info: who made the labels.

    Raises:
        ValueError: labels come at another rate than the network's frames.
    """
    config: HubertPretrainingConfig = run.config["model"]
    sets = {"train": str(run.train_data), "valid": str(run.valid_data)}
    start_experiment(run.expdir, {**run.config, "labels": label_info, "sets": sets}, run.command)
    torch.manual_seed(run.config["training"].seed)
    model = build_hubert_pretraining(config, label_info.codebook_size, sample_rate=label_info.sample_rate)
    hop, _ = frame_padding(model.hubert.config)
    if label_info.frame_rate * hop != label_info.sample_rate:
        raise InputError(
            f"labels of {label_info.name} come {label_info.frame_rate:g} times a second, but "
            "model.conv_strides make "
            f"{label_info.sample_rate / hop:g} frames a second; choose strides whose product is "
            f"{label_info.sample_rate / label_info.frame_rate:g}"
        )
    logger.info("%.2f M parameters", sum(p.numel() for p in model.parameters()) / 1e6)
    datasets = []
    for data_dir in run.data_dirs:
        utterances = Utterances(data_dir, label_info.sample_rate, lower=True)
        known = np.array([utt in labels[data_dir] for utt in utterances.ids])
        labelled = utterances.part(utterances.ids.at(known))
        options = {"crop_seconds": run.config["data"].crop_seconds, "normalize": config.normalize}
        datasets.append(make_dataset(labelled, labels[data_dir], model, **options))
    run.train(HubertStep(model, unmasked_weight=config.unmasked_weight), *datasets)
    if is_first_process():
        # Another one: the weights of that may lie in shares on all processes.
        model = build_hubert_pretraining(config, label_info.codebook_size, sample_rate=label_info.sample_rate)
        load_weights(run.expdir, model)
        export_hubert(
            model.hubert,
            run.expdir / "hubert",
            normalize=config.normalize,
            sample_rate=label_info.sample_rate,
        )
