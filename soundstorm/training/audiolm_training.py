"""Training of one of AudioLM's stages on two data directories."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from soundstorm.data.archive import TokenizerInfo, read_info
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.audiolm_stages import ACOUSTIC, COARSE, FINE, SEMANTIC, AudioLMRecord
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.audiolm_dataset import AcousticRows, SemanticRows
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import start_experiment
from soundstorm.models.audiolm import AudioLM
from soundstorm.training.audiolm_step import AudioLMStep
from soundstorm.training.training_run import TrainingRun


def train_audiolm(run: TrainingRun, stage: str, *, codebooks: Tensor | None = None) -> None:
    """Train a stage on ``semantic.scp`` and ``acoustic.scp``.

    Args:
        run: with sections ``model``, ``data`` and ``init``.
        stage: semantic (needs ``semantic.scp`` only), coarse, fine or acoustic.
        codebooks: the codec's ``(Q, N, D)``, needed for ``init.codebooks``.

    Raises:
        ValueError: tokens of different tokenizers, or settings other than those the experiment was started
            with.
    """
    config = run.config
    semantic, codec = _shared_info(run, "semantic"), None if stage == SEMANTIC else _shared_info(run, "acoustic")
    coarse_levels = config["data"].coarse_levels_of(codec.num_levels, stage) if codec else 0
    layout = stage_layout(
        stage, semantic_size=semantic.codebook_size, num_levels=codec.num_levels if codec else 0,
        coarse_levels=coarse_levels, codebook_size=codec.codebook_size if codec else 0,
        deduplicate=config["data"].deduplicate, semantic_repeats=config["data"].semantic_repeats,
    )  # fmt: skip
    if stage == COARSE and config["data"].deduplicate and config["model"].positions == "time":
        raise InputError(
            "data.deduplicate takes away the times that model.positions 'time' needs; use positions sequence"
        )
    record = {
        "kind": "audiolm_acoustic" if stage == ACOUSTIC else "audiolm",
        **config,
        "audiolm": AudioLMRecord(stage, coarse_levels),
        "semantic": semantic,
    }
    start_experiment(run.expdir, record | ({"acoustic": codec} if codec else {}), run.command)
    if run.is_finished():
        return
    sets = []
    for directory, random_windows in zip(run.data_dirs, (True, False), strict=True):
        window, options = config["data"].window(stage), {"random_windows": random_windows}
        if stage == SEMANTIC:
            sets.append(SemanticRows.from_data_dir(directory, layout, window, **options))
        else:
            aligned = AlignedTokens.from_data_dir(directory, window, **options)
            repeats = {"deduplicate": config["data"].deduplicate}
            sets.append(AcousticRows(aligned, stage, layout, coarse_levels, **repeats))
    torch.manual_seed(config["training"].seed)
    model = AudioLM(config["model"], **asdict(layout))
    if config["init"].codebooks and stage != SEMANTIC:
        if codebooks is None:
            raise InputError("init.codebooks needs --codec, an experiment directory of train_codec")
        model.start_from_codebooks(codebooks if stage == FINE else codebooks[:coarse_levels])
    run.train(AudioLMStep(model, first_level=coarse_levels if stage == FINE else 0), *sets)


def _shared_info(run: TrainingRun, kind: str) -> TokenizerInfo:
    """The tokenizer behind both directories' tokens."""
    first, second = (read_info(Path(data_dir) / f"{kind}.scp") for data_dir in run.data_dirs)
    run.check_same(first, second)
    return first
