"""Training of the model that writes texts for semantic tokens, on utterances that have both."""

import logging
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundstorm.data.datasets.dataset_configs import TranscriptionDataConfig
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.experiment import is_finished, start_experiment
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.semantic_to_text import BLANK, SemanticToText
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig
from soundstorm.training.step import Loss
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)


class SemanticToTextStep:
    """One CTC step."""

    phases = ("model",)

    def __init__(self, model: SemanticToText):
        self.networks: dict[str, nn.Module] = {"model": model}

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over letters; ``batch`` as :meth:`TextSemanticDataset.collate` makes it, without ends."""
        logits = networks[phase](batch["tokens"], batch["lengths"])
        letters = batch["text_lengths"] - 1
        total = F.ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1), batch["text"], batch["lengths"], letters,
            blank=BLANK,
            reduction="sum", zero_infinity=True,
        )  # fmt: skip
        weight = letters.sum()
        return Loss(total, weight, {"ctc": (total.detach(), weight)})


def train_semantic_to_text(
    train_data: str | Path,
    valid_data: str | Path,
    *,
    expdir: str | Path,
    model_config: SemanticToTextConfig,
    data_config: TranscriptionDataConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train, or go on, or do nothing where training is finished.

    Args:
        train_data: a data directory with ``text`` and ``semantic.scp``.
        valid_data: the same, to watch the training.
        expdir: the experiment directory to write.
        model_config, data_config, trainer_config: the settings.
        command: the command line, kept for people.
    """
    if is_finished(expdir):
        logger.info("%s: training is finished; nothing to do", expdir)
        return
    tokenizer = ByteTokenizer()
    train_set, valid_set = (
        TextSemanticDataset(d, tokenizer, **asdict(data_config)) for d in (train_data, valid_data)
    )
    train_set.info.check_same(valid_set.info, str(train_data), str(valid_data))
    start_experiment(
        expdir,
        {
            "semantic_to_text": model_config,
            "data": data_config,
            "training": trainer_config,
            "semantic": train_set.info,
        },
        command,
    )
    torch.manual_seed(trainer_config.seed)
    model = SemanticToText(
        model_config, num_tokens=train_set.info.codebook_size, text_vocab_size=tokenizer.vocab_size
    )
    train(SemanticToTextStep(model), train_set, valid_set, trainer_config, expdir)
