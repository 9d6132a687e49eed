"""Settings of the examples of mask diffusion. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.datasets.dataset_configs import WindowConfig
from soundstorm.data.options import option


@dataclass(frozen=True)
class DiffusionDataConfig(WindowConfig):
    """Windows, whose prompts are of every length, as SoundStorm's are."""

    unprompted: float = option(0.15, "probability of an example without a prompt", within=(0, 1))
