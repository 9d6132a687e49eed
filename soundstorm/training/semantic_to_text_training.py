"""Training of the model that writes texts for semantic tokens, on utterances that have both."""

from dataclasses import asdict

import torch
from torch import Tensor, nn

from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.experiment import start_experiment
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.semantic_to_text import BLANK, SemanticToText
from soundstorm.training.ctc import ctc_loss
from soundstorm.training.step import Loss, OneNetwork
from soundstorm.training.training_run import TrainingRun


class SemanticToTextStep(OneNetwork):
    """One CTC step of a :class:`SemanticToText`."""

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over letters; ``batch`` as :meth:`TextSemanticDataset.collate` makes it, without ends."""
        logits = networks[phase](batch["tokens"], batch["lengths"])
        return ctc_loss(logits, batch["lengths"], batch["text"], batch["text_lengths"] - 1, blank=BLANK)


def train_semantic_to_text(run: TrainingRun) -> None:
    """Train on ``text`` and ``semantic.scp`` by sections ``model`` and ``data``."""
    if run.is_finished():
        return
    config = run.config
    tokenizer = ByteTokenizer()
    train_set, valid_set = (TextSemanticDataset(d, tokenizer, **asdict(config["data"])) for d in run.data_dirs)
    run.check_same(train_set.info, valid_set.info)
    record = {
        "semantic_to_text": config["model"],
        "data": config["data"],
        "training": config["training"],
        "semantic": train_set.info,
    }
    start_experiment(run.expdir, record, run.command)
    torch.manual_seed(config["training"].seed)
    model = SemanticToText(
        config["model"], num_tokens=train_set.info.codebook_size, text_vocab_size=tokenizer.vocab_size
    )
    run.train(SemanticToTextStep(model), train_set, valid_set)
