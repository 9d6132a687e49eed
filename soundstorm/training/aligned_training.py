"""Training of a network on aligned semantic and acoustic tokens of two data directories."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_finished, start_experiment
from soundstorm.training.trainer import train


def train_on_aligned_tokens(
    kind: str,
    train_data: str | Path,
    valid_data: str | Path,
    expdir: str | Path,
    config: dict,
    command: list[str],
    *,
    make_model: Callable[..., nn.Module],
    make_step: Callable[[Any], Any],
    make_sets: Callable[[AlignedTokens, AlignedTokens], tuple],
    codebooks: Tensor | None,
) -> None:
    """Train on ``semantic.scp`` and ``acoustic.scp`` of ``train_data``; finished experiments are left alone.

    Args:
        kind: of the experiment, see ``decoding/acoustic_generator.py``.
        train_data, valid_data: data directories.
        expdir: experiment directory.
        config: sections, among them ``data``, ``init`` and ``training``.
        command: the command line, for the record.
        make_model: takes ``num_levels``, ``codebook_size``, ``semantic_size`` and ``groups``.
        make_step: takes the network.
        make_sets: takes the tokens of both directories; datasets of training and validation.
        codebooks: the codec's ``(Q, N, D)``, needed for ``init.codebooks``.

    Raises:
        ValueError: tokens of different tokenizers, or settings other than those the experiment was started
            with.
    """
    training = AlignedTokens.from_data_dir(train_data, config["data"])
    validation = AlignedTokens.from_data_dir(valid_data, config["data"], random_windows=False)
    semantic, acoustic = training.semantic_info, training.acoustic_info
    semantic.check_same(validation.semantic_info, str(train_data), str(valid_data))
    acoustic.check_same(validation.acoustic_info, str(train_data), str(valid_data))
    record = {"kind": kind, **config, "semantic": semantic, "acoustic": acoustic}
    start_experiment(expdir, record, command)
    if is_finished(expdir):
        return
    torch.manual_seed(config["training"].seed)
    model = make_model(
        num_levels=acoustic.num_levels,
        codebook_size=acoustic.codebook_size,
        semantic_size=semantic.codebook_size,
        groups=acoustic.groups,
    )
    if config["init"].codebooks:
        if codebooks is None:
            raise InputError("init.codebooks needs --codec, an experiment directory of train_codec")
        model.start_from_codebooks(codebooks)
    train(make_step(model), *make_sets(training, validation), config["training"], expdir)
