"""Pre-training of the text-to-semantic model on semantic tokens, and what fine-tuning takes over.

An encoder-decoder learns to fill in what was deleted from semantic tokens (SPEAR-TTS); the tokens that are
left stand where the text will be. Then the text gets an embedding of its own, and training goes on with
transcripts.
"""

import logging
from dataclasses import asdict

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.datasets.dataset_configs import DenoisingDataConfig
from soundstorm.data.datasets.denoising_dataset import DenoisingDataset, token_text_size
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights, start_experiment
from soundstorm.models.text_to_semantic import TextToSemantic, build_text_to_semantic
from soundstorm.models.text_to_semantic_config import (
    SCRATCH,
    PretrainedConfig,
    TextToSemanticConfig,
)
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from soundstorm.training.training_run import TrainingRun

logger = logging.getLogger(__name__)
DENOISING = "denoising"  # the section of config.yaml by which such an experiment is known
# What knows letters, not tokens: the text's embedding, and the aligner, which has to begin with all letters
# alike.
NOT_TAKEN_OVER = ("encoder.embed.", "pointer.aligner.")
# What stays as pre-trained with pretrained.freeze, beside the upper encoder blocks: the decoder but for what
# looks at the text. That is the cross-attention, and a pointer as a whole.
FROZEN = ("encoder.norm.", "embed.", "norm.", "head.", "blocks.")
LOOKS_AT_TEXT = (".cross_attention.", ".cross_norm.")


def pretrain_text_to_semantic(run: TrainingRun) -> None:
    """Pre-train on ``semantic.scp`` by sections ``model``, ``data`` and ``loss``."""
    if run.is_finished():
        return
    config: TextToSemanticConfig = run.config["model"]
    if config.encoder != SCRATCH:
        raise InputError(
            f"model.encoder is {config.encoder!r}, which reads text already; pre-training on semantic tokens is "
            f"for {SCRATCH!r}"
        )
    data = asdict(run.config["data"])
    train_set = DenoisingDataset(run.train_data, **data)
    valid_set = DenoisingDataset(run.valid_data, **data | {"token_dropout": 0.0, "token_noise": 0.0})
    run.check_same(train_set.info, valid_set.info)
    torch.manual_seed(run.config["training"].seed)
    model = build_pretrained(config, train_set.info)
    sections = {DENOISING if name == "data" else name: values for name, values in run.config.items()}
    start_experiment(run.expdir, {**sections, "semantic": train_set.info}, run.command)
    logger.info("%d utterances, %.1f min", len(train_set), float(np.sum(train_set.durations)) / 60)
    run.train(TextToSemanticStep(model, run.config["loss"]), train_set, valid_set)


def build_pretrained(config: TextToSemanticConfig, info: TokenizerInfo) -> TextToSemantic:
    """The network of a pre-training: its encoder reads semantic tokens."""
    size = info.codebook_size
    return build_text_to_semantic(config, text_vocab_size=token_text_size(size), num_tokens=size)


def take_over(
    model: TextToSemantic, config: PretrainedConfig, model_config: TextToSemanticConfig, info: TokenizerInfo
) -> None:
    """Start ``model`` from a pre-training, and freeze what is to stay as it is.

    Args:
        model: new, of the same sizes.
        config: whose weights, and which of them are frozen.
        model_config: of the model.
        info: of the semantic tokens it is to write.

    Raises:
        ValueError: another kind of experiment, of other sizes or tokens.
    """
    config_section(config.experiment, DENOISING, DenoisingDataConfig)  # refuses another kind
    theirs = config_section(config.experiment, "model", TextToSemanticConfig)
    for name, value in asdict(model_config).items():
        if name != "dropout" and value != getattr(theirs, name):
            raise InputError(
                f"model.{name} is {value!r}, but {config.experiment} was pre-trained with "
                f"{getattr(theirs, name)!r}; "
                "give both the same"
            )
    config_section(config.experiment, "semantic", TokenizerInfo).check_same(
        info, config.experiment, "the training set"
    )
    source = build_pretrained(theirs, info)
    load_weights(config.experiment, source)
    taken = {
        name: value for name, value in source.state_dict().items() if not name.startswith(NOT_TAKEN_OVER)
    }
    model.load_state_dict(taken, strict=False)
    if config.freeze:
        _freeze(model, config.lower_blocks)
    logger.info("%d of %d tensors taken over from %s", len(taken), len(model.state_dict()), config.experiment)


def _freeze(model: TextToSemantic, lower_blocks: int) -> None:
    if lower_blocks > len(model.encoder.blocks):
        raise InputError(
            f"pretrained.lower_blocks is {lower_blocks}, but the encoder has "
            f"{len(model.encoder.blocks)} blocks"
        )
    upper = tuple(f"encoder.blocks.{index}." for index in range(lower_blocks, len(model.encoder.blocks)))
    for name, parameter in model.named_parameters():
        stays = name.startswith(FROZEN) and not any(part in name for part in LOOKS_AT_TEXT)
        if stays or name.startswith(upper):
            parameter.requires_grad_(False)
