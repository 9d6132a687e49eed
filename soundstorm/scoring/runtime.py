"""Real-time factors from the times that decoding wrote down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class PartTime:
    """What one part of decoding (text to semantic, SoundStorm, codec) took."""

    seconds: float  # of computing
    audio_seconds: float  # of speech made in that time
    real_time_factor: float  # the one over the other: below 1 is faster than real time

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for JSON."""
        return asdict(self)


def read_timing(path: Path) -> dict[str, PartTime]:
    """Real-time factor of each part in a decode directory's `timing.json`, and of all parts together."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        parts = {name: _part(float(entry["seconds"]), float(entry["audio_seconds"])) for name, entry in content.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: expected {{"<part>": {{"seconds": ..., "audio_seconds": ...}}}} with positive '
            f"audio_seconds, got something else ({error}); decode again"
        ) from error
    if len(parts) > 1 and "total" not in parts:
        audio_seconds = max(part.audio_seconds for part in parts.values())
        parts["total"] = _part(sum(part.seconds for part in parts.values()), audio_seconds)
    return parts


def _part(seconds: float, audio_seconds: float) -> PartTime:
    if seconds < 0 or audio_seconds <= 0:
        raise ValueError(f"seconds {seconds}, audio_seconds {audio_seconds}")
    return PartTime(seconds, audio_seconds, seconds / audio_seconds)
