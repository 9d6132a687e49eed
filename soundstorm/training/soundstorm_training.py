"""Training of SoundStorm on two data directories."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_finished, start_experiment
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.training.soundstorm_step import SoundStormStep
from soundstorm.training.trainer import train


def train_soundstorm(
    train_data: str | Path,
    valid_data: str | Path,
    expdir: str | Path,
    config: dict,
    command: list[str],
    *,
    codebooks: Tensor | None = None,
) -> None:
    """Train on ``semantic.scp`` and ``acoustic.scp`` of ``train_data``; finished experiments are left alone.

    Args:
        train_data: data directory.
        valid_data: data directory.
        expdir: experiment directory.
        config: sections ``model``, ``data``, ``masking``, ``init`` and ``training``.
        command: the command line, for the record.
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
    record = {"kind": "soundstorm", **config, "semantic": asdict(semantic), "acoustic": asdict(acoustic)}
    start_experiment(expdir, record, command)
    if is_finished(expdir):
        return
    torch.manual_seed(config["training"].seed)
    model = SoundStorm(
        config["model"],
        num_levels=acoustic.num_levels,
        codebook_size=acoustic.codebook_size,
        semantic_size=semantic.codebook_size,
    )
    if config["init"].codebooks:
        if codebooks is None:
            raise InputError("init.codebooks needs --codec, an experiment directory of train_codec")
        model.start_from_codebooks(codebooks)
    train(
        SoundStormStep(model),
        MaskedTokens(training, config["masking"]),
        MaskedTokens(validation, config["masking"]),
        config["training"],
        expdir,
    )
