"""Training of the parallel text-to-semantic model, from data directories to an experiment directory."""

import torch

from soundstorm.data.datasets.dataset_configs import MaskedTextDataConfig
from soundstorm.data.datasets.masked_text_dataset import MaskedTextDataset
from soundstorm.data.experiment import start_experiment
from soundstorm.models.masked_text_to_semantic import build_masked_text_to_semantic
from soundstorm.training.masked_text_to_semantic_step import MaskedTextToSemanticStep
from soundstorm.training.text_to_semantic_training import prepare_text_tokenizer, with_pinned_encoder, write_beside
from soundstorm.training.training_run import TrainingRun


def train_masked_text_to_semantic(run: TrainingRun) -> None:
    """Train on ``text`` and ``semantic.scp`` by sections ``model``, ``text``, ``data`` and ``loss``."""
    if run.is_finished():
        return
    tokenizer, data = prepare_text_tokenizer(run), run.config["data"]
    train_set = MaskedTextDataset(run.train_data, tokenizer, data)
    # Validation has the masks of the defaults whatever the training's are: losses of both can be compared.
    lengths = {"min_seconds": data.min_seconds, "max_seconds": data.max_seconds}
    valid_set = MaskedTextDataset(run.valid_data, tokenizer, MaskedTextDataConfig(**lengths))
    run.check_same(train_set.info, valid_set.info)
    model_config = with_pinned_encoder(run)
    torch.manual_seed(run.config["training"].seed)
    model = build_masked_text_to_semantic(
        model_config, text_vocab_size=tokenizer.vocab_size, num_tokens=train_set.info.codebook_size
    )
    record = {"kind": "masked", **run.config, "model": model_config, "semantic": train_set.info}
    start_experiment(run.expdir, record, run.command)
    write_beside(run.expdir, model, train_set)
    run.train(MaskedTextToSemanticStep(model, run.config["loss"]), train_set, valid_set)
