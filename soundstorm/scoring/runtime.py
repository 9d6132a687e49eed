"""Real-time factors from the times that decoding wrote down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soundstorm.data.errors import InputError
from soundstorm.data.records import read_json


@dataclass(frozen=True)
class PartTime:
    """What one part of decoding (text to semantic, SoundStorm, codec) took."""

    seconds: float  # of computing
    audio_seconds: float  # of speech made in that time
    real_time_factor: float  # the one over the other: below 1 is faster than real time


def read_timing(path: Path) -> dict[str, PartTime]:
    """Real-time factor of each part in a decode directory's `timing.json`, and of all parts together.

    A prompt is audio to the codec and to a reranker only; all together are measured by what was made anew.
    """
    content = read_json(path, "decode again")
    try:
        parts = {
            name: _part(float(entry["seconds"]), float(entry["audio_seconds"]))
            for name, entry in content.items()
        }
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f'{path}: expected {{"<part>": {{"seconds": ..., "audio_seconds": ...}}}} with positive '
            f"audio_seconds, got something else ({error}); decode again"
        ) from error
    if len(parts) > 1 and "total" not in parts:
        audio_seconds = min(part.audio_seconds for part in parts.values())
        parts["total"] = _part(sum(part.seconds for part in parts.values()), audio_seconds)
    return parts


def _part(seconds: float, audio_seconds: float) -> PartTime:
    if not 0 <= seconds < float("inf") or not 0 < audio_seconds < float("inf"):
        raise InputError(f"seconds {seconds}, audio_seconds {audio_seconds}")
    return PartTime(seconds, audio_seconds, seconds / audio_seconds)
