"""Training of mask diffusion on two data directories."""

from pathlib import Path

from torch import Tensor

from soundstorm.data.datasets.diffusion_dataset import DiffusionTokens
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.training.aligned_training import train_on_aligned_tokens
from soundstorm.training.mask_diffusion_step import MaskDiffusionStep


def train_mask_diffusion(
    train_data: str | Path,
    valid_data: str | Path,
    expdir: str | Path,
    config: dict,
    command: list[str],
    *,
    codebooks: Tensor | None = None,
) -> None:
    """See :func:`train_on_aligned_tokens`.

    Sections are ``model``, ``diffusion``, ``data``, ``init`` and ``training``.
    """
    train_on_aligned_tokens(
        "mask_diffusion", train_data, valid_data, expdir, config, command, codebooks=codebooks,
        # All levels at once, in whatever groups they are.
        make_model=lambda groups, **sizes: MaskDiffusion(config["model"], config["diffusion"], **sizes),
        make_step=lambda model: MaskDiffusionStep(model, config["diffusion"].auxiliary_weight),
        make_sets=lambda *both: tuple(DiffusionTokens(tokens, config["data"].unprompted) for tokens in both),
    )  # fmt: skip
