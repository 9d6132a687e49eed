"""Training of the parallel text-to-semantic model, from data directories to an experiment directory."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from soundstorm.data.datasets.dataset_configs import MaskedTextDataConfig
from soundstorm.data.datasets.masked_text_dataset import MaskedTextDataset
from soundstorm.data.experiment import is_finished, start_experiment
from soundstorm.models.masked_text_to_semantic import build_masked_text_to_semantic
from soundstorm.models.text_to_semantic_config import MaskedTextLossConfig, MaskedTextToSemanticConfig, TextConfig
from soundstorm.training.masked_text_to_semantic_step import MaskedTextToSemanticStep
from soundstorm.training.text_to_semantic_training import prepare_text_tokenizer, with_pinned_encoder, write_beside
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)


def train_masked_text_to_semantic(
    train_data: str | Path,
    valid_data: str | Path,
    *,
    expdir: str | Path,
    model_config: MaskedTextToSemanticConfig,
    text_config: TextConfig,
    data_config: MaskedTextDataConfig,
    loss_config: MaskedTextLossConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train, or go on training, or do nothing where training is finished.

    Args:
        train_data: a data directory with ``text`` and ``semantic.scp``.
        valid_data: the same, to watch the training.
        expdir: the experiment directory to write.
        model_config, text_config, data_config, loss_config, trainer_config: the settings.
        command: the command line, kept for people.
    """
    expdir = Path(expdir)
    if is_finished(expdir):
        logger.info("%s: training is finished; nothing to do", expdir)
        return
    tokenizer = prepare_text_tokenizer(text_config, train_data, expdir, encoder=model_config.encoder)
    train_set = MaskedTextDataset(train_data, tokenizer, data_config)
    valid_set = MaskedTextDataset(valid_data, tokenizer, replace(data_config, join_probability=0.0))
    train_set.info.check_same(valid_set.info, str(train_data), str(valid_data))
    model_config = with_pinned_encoder(model_config, expdir)
    torch.manual_seed(trainer_config.seed)
    model = build_masked_text_to_semantic(
        model_config, text_vocab_size=tokenizer.vocab_size, num_tokens=train_set.info.codebook_size
    )
    config = {
        "kind": "masked", "model": model_config, "text": text_config, "data": data_config, "loss": loss_config,
        "training": trainer_config, "semantic": train_set.info,
    }  # fmt: skip
    start_experiment(expdir, config, command)
    write_beside(expdir, model, train_set)
    train(MaskedTextToSemanticStep(model, loss_config), train_set, valid_set, trainer_config, expdir)
