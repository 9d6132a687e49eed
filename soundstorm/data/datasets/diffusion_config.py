"""Settings of the examples of mask diffusion. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.datasets.dataset_configs import WindowConfig
from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class DiffusionDataConfig(WindowConfig):
    """Windows, whose prompts are of every length, as SoundStorm's are."""

    unprompted: float = option(0.15, "probability of an example without a prompt")

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.unprompted <= 1:
            raise InputError(f"data.unprompted is {self.unprompted}, expected a probability")
