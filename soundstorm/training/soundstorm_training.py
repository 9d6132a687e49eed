"""Training of SoundStorm on two data directories."""

from functools import partial

from torch import Tensor

from soundstorm.data.datasets.dataset_configs import MaskingConfig
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.training.aligned_training import train_on_aligned_tokens
from soundstorm.training.soundstorm_step import SoundStormStep
from soundstorm.training.training_run import TrainingRun


def train_soundstorm(run: TrainingRun, *, codebooks: Tensor | None = None) -> None:
    """See :func:`train_on_aligned_tokens`; sections ``model`` and ``masking`` beside those."""
    masking: MaskingConfig = run.config["masking"]
    train_on_aligned_tokens(
        run, "soundstorm", codebooks=codebooks,
        make_model=partial(SoundStorm, run.config["model"]),
        make_step=lambda model: SoundStormStep(model, masking),
        make_sets=lambda training, validation: (
            MaskedTokens(training, masking),
            # By the paper's masks whatever the training's are: losses of both can be compared.
            MaskedTokens(validation, MaskingConfig()),
        ),
    )  # fmt: skip
