"""Training of the text-to-semantic model, from data directories to an experiment directory."""

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from soundstorm.data.data_dir import read_table, write_bytes, write_text
from soundstorm.data.datasets.dataset_configs import TextDataConfig
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_finished, is_first_process, recorded_setting, start_experiment
from soundstorm.data.text import ByteTokenizer, SentencePieceTokenizer, TextTokenizer, train_sentencepiece
from soundstorm.models.hub import pinned
from soundstorm.models.text_to_semantic import T5Encoder, build_text_to_semantic
from soundstorm.models.text_to_semantic_config import (
    CHARACTERS_FILE,
    ENCODER_DIR,
    OWN_IDS,
    REPORT_FILE,
    SCRATCH,
    SENTENCEPIECE_FILE,
    PretrainedConfig,
    TextConfig,
    TextEncoderConfig,
    TextLossConfig,
    TextToSemanticConfig,
)
from soundstorm.training.text_to_semantic_pretraining import take_over
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)
ModelConfig = TypeVar("ModelConfig", bound=TextEncoderConfig)


def train_text_to_semantic(
    train_data: str | Path,
    valid_data: str | Path,
    *,
    expdir: str | Path,
    model_config: TextToSemanticConfig,
    text_config: TextConfig,
    data_config: TextDataConfig,
    loss_config: TextLossConfig,
    trainer_config: TrainerConfig,
    command: list[str],
    pretrained_config: PretrainedConfig | None = None,
) -> None:
    """Train, or go on training, or do nothing where training is finished.

    Args:
        train_data: a data directory with ``text`` and ``semantic.scp``.
        valid_data: the same, to watch the training.
        expdir: the experiment directory to write.
        model_config, text_config, data_config, loss_config, trainer_config: the settings.
        command: the command line, kept for people.
        pretrained_config: what to start from; from nothing by default.
    """
    expdir = Path(expdir)
    if is_finished(expdir):
        logger.info("%s: training is finished; nothing to do", expdir)
        return
    tokenizer = prepare_text_tokenizer(text_config, train_data, expdir, encoder=model_config.encoder)
    # Validation is teacher forcing on clean tokens, of utterances as they are.
    lengths = {"min_seconds": data_config.min_seconds, "max_seconds": data_config.max_seconds}
    train_set = TextSemanticDataset(train_data, tokenizer, **asdict(data_config))
    valid_set = TextSemanticDataset(valid_data, tokenizer, **lengths)
    train_set.info.check_same(valid_set.info, str(train_data), str(valid_data))
    slowest, fastest = train_set.speaking_rates()
    model_config = with_pinned_encoder(model_config, expdir)
    torch.manual_seed(trainer_config.seed)
    model = build_text_to_semantic(
        model_config, text_vocab_size=tokenizer.vocab_size, num_tokens=train_set.info.codebook_size
    )
    config = {
        "model": model_config, "text": text_config, "data": data_config, "loss": loss_config,
        "training": trainer_config, "semantic": train_set.info,
        "pace": {"slowest": slowest, "fastest": fastest},
    }  # fmt: skip
    if pretrained_config is not None and pretrained_config.experiment:
        take_over(model, pretrained_config, model_config, train_set.info)
        config["pretrained"] = pretrained_config
    start_experiment(expdir, config, command)
    write_beside(expdir, model, train_set)
    step = TextToSemanticStep(model, loss_config)
    train(step, train_set, valid_set, trainer_config, expdir)


def with_pinned_encoder(config: ModelConfig, expdir: Path) -> ModelConfig:
    """A model's configuration whose published encoder, if it has one, is of one commit."""
    if config.encoder == SCRATCH:
        return config
    recorded = recorded_setting(expdir, "model", "encoder")
    return replace(config, encoder=pinned(config.encoder, recorded=recorded))


def write_beside(expdir: Path, model: nn.Module, train_set: TextSemanticDataset) -> None:
    """Write what decoding needs to know beside weights and settings; say what is trained."""
    if is_first_process():
        (expdir / REPORT_FILE).unlink(missing_ok=True)  # of weights that were removed to train on
        if not (expdir / CHARACTERS_FILE).exists():
            write_text(expdir / CHARACTERS_FILE, train_set.characters() + "\n")
    if isinstance(model.encoder, T5Encoder):
        model.encoder.network.config.save_pretrained(str(expdir / ENCODER_DIR))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    logger.info(
        "%d utterances, %.1f min, %.1fM trained parameters",
        len(train_set), float(np.sum(train_set.durations)) / 60, trained / 1e6,
    )  # fmt: skip


def prepare_text_tokenizer(config: TextConfig, train_data: str | Path, expdir: Path, *, encoder: str) -> TextTokenizer:
    """The text tokenizer; a SentencePiece model is trained or copied into the experiment directory first.

    Raises:
        ValueError: it would be trained for a published encoder, which has learned others.
    """
    if config.tokenizer == "bytes":
        return ByteTokenizer(lowercase=config.lowercase)
    model_file = expdir / SENTENCEPIECE_FILE
    if model_file.is_file():
        return SentencePieceTokenizer(model_file, lowercase=config.lowercase)
    if config.sentencepiece_model:
        SentencePieceTokenizer(config.sentencepiece_model)  # refuses what is none
        expdir.mkdir(parents=True, exist_ok=True)
        write_bytes(model_file, Path(config.sentencepiece_model).read_bytes())
        return SentencePieceTokenizer(model_file, lowercase=config.lowercase)
    if encoder != SCRATCH:
        raise InputError(f"pieces learned from {train_data} are not those that the encoder {encoder} reads; {OWN_IDS}")
    texts = read_table(Path(train_data) / "text").values()
    return train_sentencepiece(
        texts, model_file, vocab_size=config.sentencepiece_vocab_size, lowercase=config.lowercase
    )
