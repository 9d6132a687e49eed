"""Which tokens AudioLM's stages are trained on. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.options import option
from soundstorm.data.window_config import WindowConfig

SEMANTIC, COARSE, FINE = STAGES = ("semantic", "coarse", "fine")


@dataclass(frozen=True)
class AudioLMDataConfig:
    """What a training example of each stage is (AudioLM, section IV-B)."""

    coarse_levels: int = option(
        0, "RVQ levels of the coarse stage, the others being the fine stage's; 0: a third of them, as the "
           "paper's 4 of 12"
    )  # fmt: skip
    semantic_seconds: float = option(30.0, "longest crop of the semantic stage")
    coarse_seconds: float = option(10.0, "longest crop of the coarse stage")
    fine_seconds: float = option(3.0, "longest crop of the fine stage")
    min_seconds: float | None = option(
        None, "shortest crop; lengths are then drawn in between. None: always the longest"
    )
    deduplicate: bool = option(
        False, "remove repeats of semantic tokens for the coarse stage too, as in AudioLM's own chain; its "
               "comparison with SoundStorm keeps them"
    )  # fmt: skip
    tolerance_frames: int = option(
        2, "largest difference of the two streams' lengths that is trimmed without complaint"
    )

    def __post_init__(self):
        if self.coarse_levels < 0:
            raise ValueError(f"data.coarse_levels is {self.coarse_levels}, expected 0 (a third) or more")
        for name in STAGES:
            if self.seconds(name) <= 0:
                raise ValueError(f"data.{name}_seconds is {self.seconds(name)}, expected more than 0")

    def seconds(self, stage: str) -> float:
        """Longest crop of a stage."""
        return getattr(self, f"{stage}_seconds")

    def window(self, stage: str) -> WindowConfig:
        """How a stage cuts its crops."""
        longest = self.seconds(stage)
        shortest = longest if self.min_seconds is None else min(self.min_seconds, longest)
        return WindowConfig(min_seconds=shortest, max_seconds=longest, tolerance_frames=self.tolerance_frames)

    def coarse_levels_of(self, num_levels: int) -> int:
        """Q' of a codec with Q levels; at least one level is left to the fine stage."""
        if num_levels < 2:
            raise ValueError(f"the codec has {num_levels} RVQ level, AudioLM's coarse and fine stages need 2 or more")
        coarse = self.coarse_levels or max(1, num_levels // 3)
        if coarse >= num_levels:
            raise ValueError(f"data.coarse_levels is {coarse}, expected fewer than the codec's {num_levels} levels")
        return coarse


@dataclass(frozen=True)
class AudioLMRecord:
    """What an experiment directory says of its stage."""

    stage: str
    coarse_levels: int  # Q'; 0 of the semantic stage

    def __post_init__(self):
        if self.stage not in STAGES or self.coarse_levels < 0:
            raise ValueError(
                f"stage is {self.stage!r:.80} and coarse_levels {self.coarse_levels}, expected one of "
                f"{', '.join(STAGES)} and 0 or more"
            )
