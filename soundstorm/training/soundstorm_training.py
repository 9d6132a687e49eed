"""Training of SoundStorm on two data directories."""

from functools import partial
from pathlib import Path

from torch import Tensor

from soundstorm.data.datasets.dataset_configs import MaskingConfig
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.training.aligned_training import train_on_aligned_tokens
from soundstorm.training.soundstorm_step import SoundStormStep


def train_soundstorm(
    train_data: str | Path,
    valid_data: str | Path,
    expdir: str | Path,
    config: dict,
    command: list[str],
    *,
    codebooks: Tensor | None = None,
) -> None:
    """See :func:`train_on_aligned_tokens`.

    Sections are ``model``, ``data``, ``masking``, ``init`` and ``training``.
    """
    masking: MaskingConfig = config["masking"]
    train_on_aligned_tokens(
        "soundstorm", train_data, valid_data, expdir, config, command, codebooks=codebooks,
        make_model=partial(SoundStorm, config["model"]),
        make_step=lambda model: SoundStormStep(model, masking),
        make_sets=lambda training, validation: (
            MaskedTokens(training, masking),
            # By the paper's masks whatever the training's are: losses of both can be compared.
            MaskedTokens(validation, MaskingConfig(unprompted=masking.unprompted)),
        ),
    )  # fmt: skip
