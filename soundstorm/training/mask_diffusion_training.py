"""Training of mask diffusion on two data directories."""

from torch import Tensor

from soundstorm.data.datasets.diffusion_config import DiffusionDataConfig
from soundstorm.data.datasets.diffusion_dataset import DiffusionTokens
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.training.aligned_training import train_on_aligned_tokens
from soundstorm.training.mask_diffusion_step import MaskDiffusionStep
from soundstorm.training.training_run import TrainingRun


def train_mask_diffusion(run: TrainingRun, *, codebooks: Tensor | None = None) -> None:
    """See :func:`train_on_aligned_tokens`; sections ``model`` and ``diffusion`` beside those."""
    diffusion, unprompted = run.config["diffusion"], run.config["data"].unprompted
    train_on_aligned_tokens(
        run, "mask_diffusion", codebooks=codebooks,
        # All levels at once, in whatever groups they are.
        make_model=lambda groups, **sizes: MaskDiffusion(run.config["model"], diffusion, **sizes),
        make_step=lambda model: MaskDiffusionStep(model, diffusion.auxiliary_weight),
        make_sets=lambda training, validation: (
            DiffusionTokens(training, unprompted),
            # As many prompts whatever the training has: losses can be compared.
            DiffusionTokens(validation, DiffusionDataConfig().unprompted),
        ),
    )  # fmt: skip
