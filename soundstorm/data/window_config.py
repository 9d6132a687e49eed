"""How token windows are cut. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.options import option


@dataclass(frozen=True)
class WindowConfig:
    """Windows of training tokens (SoundStorm, section 4.1: random windows of 0 to 30 s)."""

    min_seconds: float = option(1.0, "shortest random window")
    max_seconds: float = option(30.0, "longest random window")
    tolerance_frames: int = option(
        2, "largest difference of the two lengths that is trimmed without complaint"
    )

    def __post_init__(self):
        if not 0 < self.min_seconds <= self.max_seconds:
            raise ValueError(
                f"data: expected 0 < min_seconds <= max_seconds, got {self.min_seconds} and {self.max_seconds}"
            )
        if self.tolerance_frames < 0:
            raise ValueError(f"data.tolerance_frames is {self.tolerance_frames}, expected at least 0")
