"""AudioLM's stages, and its acoustic-only model. Free of torch, so that fronts start fast.

The latter is what AudioLM is compared with: the coarse stage without semantic tokens.
"""

from dataclasses import dataclass

from soundstorm.data.errors import InputError

SEMANTIC, COARSE, FINE, ACOUSTIC = STAGES = ("semantic", "coarse", "fine", "acoustic")


@dataclass(frozen=True)
class AudioLMRecord:
    """What an experiment directory says of its stage."""

    stage: str
    coarse_levels: int  # Q'; 0 of the semantic stage

    def __post_init__(self):
        if self.stage not in STAGES or self.coarse_levels < 0:
            raise InputError(
                f"stage is {self.stage!r:.80} and coarse_levels {self.coarse_levels}, expected one of "
                f"{', '.join(STAGES)} and 0 or more"
            )
