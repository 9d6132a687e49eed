"""Training of a network on aligned semantic and acoustic tokens of two data directories."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import start_experiment
from soundstorm.training.training_run import TrainingRun


def train_on_aligned_tokens(
    run: TrainingRun,
    kind: str,
    *,
    make_model: Callable[..., nn.Module],
    make_step: Callable[[Any], Any],
    make_sets: Callable[[AlignedTokens, AlignedTokens], tuple],
    codebooks: Tensor | None,
) -> None:
    """Train on ``semantic.scp`` and ``acoustic.scp``.

    Args:
        run: with sections ``data`` and ``init``.
        kind: of the experiment, see ``decoding/acoustic_generator.py``.
        make_model: takes ``num_levels``, ``codebook_size``, ``semantic_size`` and ``groups``.
        make_step: takes the network.
        make_sets: takes the tokens of both directories; datasets of training and validation.
        codebooks: the codec's ``(Q, N, D)``, needed for ``init.codebooks``.

    Raises:
        ValueError: tokens of different tokenizers, or settings other than those the experiment was started
            with.
    """
    training = AlignedTokens.from_data_dir(run.train_data, run.config["data"])
    validation = AlignedTokens.from_data_dir(run.valid_data, run.config["data"], random_windows=False)
    semantic, acoustic = training.semantic_info, training.acoustic_info
    run.check_same(semantic, validation.semantic_info)
    run.check_same(acoustic, validation.acoustic_info)
    record = {"kind": kind, **run.config, "semantic": semantic, "acoustic": acoustic}
    start_experiment(run.expdir, record, run.command)
    if run.is_finished():
        return
    torch.manual_seed(run.config["training"].seed)
    model = make_model(
        num_levels=acoustic.num_levels,
        codebook_size=acoustic.codebook_size,
        semantic_size=semantic.codebook_size,
        groups=acoustic.groups,
    )
    if run.config["init"].codebooks:
        if codebooks is None:
            raise InputError("init.codebooks needs --codec, an experiment directory of train_codec")
        model.start_from_codebooks(codebooks)
    run.train(make_step(model), *make_sets(training, validation))
