"""Training of the text-to-semantic model, from data directories to an experiment directory."""

import logging
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from soundstorm.data.data_dir import read_table, write_bytes, write_text
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_first_process, recorded_setting, start_experiment
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
)
from soundstorm.training.text_to_semantic_pretraining import take_over
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from soundstorm.training.training_run import TrainingRun

logger = logging.getLogger(__name__)


def train_text_to_semantic(run: TrainingRun) -> None:
    """Train on ``text`` and ``semantic.scp`` by sections ``model``, ``text``, ``data``, ``loss`` and ``pretrained``."""
    if run.is_finished():
        return
    tokenizer, data = prepare_text_tokenizer(run), run.config["data"]
    # Validation is teacher forcing on clean tokens, of utterances as they are.
    lengths = {"min_seconds": data.min_seconds, "max_seconds": data.max_seconds}
    train_set = TextSemanticDataset(run.train_data, tokenizer, **asdict(data))
    valid_set = TextSemanticDataset(run.valid_data, tokenizer, **lengths)
    run.check_same(train_set.info, valid_set.info)
    slowest, fastest = train_set.speaking_rates()
    model_config = with_pinned_encoder(run)
    torch.manual_seed(run.config["training"].seed)
    model = build_text_to_semantic(
        model_config, text_vocab_size=tokenizer.vocab_size, num_tokens=train_set.info.codebook_size
    )
    record = {
        **run.config, "model": model_config, "semantic": train_set.info,
        "pace": {"slowest": slowest, "fastest": fastest},
    }  # fmt: skip
    pretrained: PretrainedConfig = record.pop("pretrained")
    if pretrained.experiment:
        take_over(model, pretrained, model_config, train_set.info)
        record["pretrained"] = pretrained
    start_experiment(run.expdir, record, run.command)
    write_beside(run.expdir, model, train_set)
    run.train(TextToSemanticStep(model, run.config["loss"]), train_set, valid_set)


def with_pinned_encoder(run: TrainingRun) -> TextEncoderConfig:
    """Section ``model``, in which the published encoder, if it has one, is of one commit."""
    config = run.config["model"]
    if config.encoder == SCRATCH:
        return config
    recorded = recorded_setting(run.expdir, "model", "encoder")
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


def prepare_text_tokenizer(run: TrainingRun) -> TextTokenizer:
    """The text tokenizer; a SentencePiece model is trained or copied into the experiment directory first.

    Raises:
        ValueError: it would be trained for a published encoder, which has learned others.
    """
    config: TextConfig = run.config["text"]
    encoder = run.config["model"].encoder
    if config.tokenizer == "bytes":
        return ByteTokenizer(lowercase=config.lowercase)
    model_file = run.expdir / SENTENCEPIECE_FILE
    if model_file.is_file():
        return SentencePieceTokenizer(model_file, lowercase=config.lowercase)
    if config.sentencepiece_model:
        SentencePieceTokenizer(config.sentencepiece_model)  # refuses what is none
        run.expdir.mkdir(parents=True, exist_ok=True)
        write_bytes(model_file, Path(config.sentencepiece_model).read_bytes())
        return SentencePieceTokenizer(model_file, lowercase=config.lowercase)
    if encoder != SCRATCH:
        raise InputError(
            f"pieces learned from {run.train_data} are not those that the encoder {encoder} reads; {OWN_IDS}"
        )
    texts = read_table(Path(run.train_data) / "text").values()
    return train_sentencepiece(
        texts, model_file, vocab_size=config.sentencepiece_vocab_size, lowercase=config.lowercase
    )
