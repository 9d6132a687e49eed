"""From data directories and a HuBERT to a trained recogniser in a transformers directory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.experiment import load_weights, start_experiment
from soundstorm.models.recognizer import build_recognizer, build_vocabulary
from soundstorm.models.recognizer_config import AugmentConfig, RecognizerConfig
from soundstorm.training.config import TrainerConfig
from soundstorm.training.recognizer_step import RecognizerDataset, RecognizerStep, export_recognizer
from soundstorm.training.trainer import train

logger = logging.getLogger(__name__)
SAMPLE_RATE = 16000  # Hz, of every HuBERT


def train_recognizer(
    train_data: str,
    valid_data: str,
    *,
    texts: Mapping[str, Mapping[str, str]],
    hubert: str,
    expdir: Path,
    model_config: RecognizerConfig,
    augment_config: AugmentConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train a CTC recogniser and write `expdir/hf`.

    Args:
        train_data: Data directory of original recordings.
        valid_data: Another, to watch the training.
        texts: For each of the two directories, utterance to normalised text.
        hubert: Local transformers directory or hub name.
        expdir: Experiment directory.
        model_config: Of the network.
        augment_config: Of the recordings.
        trainer_config: Of the loop.
        command: For the record.
    """
    exported = expdir / "hf"
    if (exported / "config.json").is_file():
        logger.info("%s: already trained", exported)
        return
    start_experiment(
        expdir,
        {
            "model": asdict(model_config),
            "augment": asdict(augment_config),
            "training": asdict(trainer_config),
            "data": {"train_data": train_data, "valid_data": valid_data, "hubert": hubert},
        },
        command,
    )
    network, do_normalize = load_hubert(hubert)
    vocabulary = build_vocabulary(texts[train_data].values())
    torch.manual_seed(trainer_config.seed)
    model = build_recognizer(
        network,
        vocabulary,
        init=model_config.init,
        freeze=model_config.freeze,
        num_layers=model_config.num_layers,
        adapter_layers=model_config.adapter_layers,
        adapter_width=model_config.adapter_width,
        head_scale=model_config.head_scale,
        dropout=model_config.dropout,
    )
    del network

    def dataset(data_dir: str, training: bool) -> RecognizerDataset:
        return RecognizerDataset(
            Utterances(data_dir, SAMPLE_RATE),
            texts[data_dir],
            vocabulary,
            num_frames=model.num_frames,
            do_normalize=do_normalize,
            augmentation=augment_config if training else None,
            mask_share=model_config.mask_share if training else 0.0,
            mask_span=model_config.mask_span,
        )

    step = RecognizerStep(model, vocabulary)
    train(step, dataset(train_data, True), dataset(valid_data, False), trainer_config, expdir)
    load_weights(expdir, model)
    export_recognizer(model, vocabulary, exported, sample_rate=SAMPLE_RATE, do_normalize=do_normalize)


def load_hubert(name: str):
    """A HuBERT and whether it wants inputs of zero mean and unit variance."""
    from transformers import AutoFeatureExtractor, HubertModel

    if (name.count("/") > 1 or Path(name).is_absolute()) and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name}: no HuBERT there (config.json is missing); run stage 1 first, or name another")
    model = HubertModel.from_pretrained(name, use_safetensors=True)
    try:
        do_normalize = bool(AutoFeatureExtractor.from_pretrained(name).do_normalize)
    except OSError:
        do_normalize = False
        logger.warning("%s has no preprocessor_config.json: recordings are used as they are", name)
    return model, do_normalize
