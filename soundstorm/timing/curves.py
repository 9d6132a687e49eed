"""Timing of parts at several lengths of audio: the paper's Figure 3."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.decoding.acoustic_generator import TimedPart

LONGEST = 3600.0  # seconds of audio at a time

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """Run time at one length."""

    seconds: float  # of audio requested
    made_seconds: float  # of audio generated; fewer where a model ended early
    median: float  # seconds of computing
    quartile_low: float
    quartile_high: float
    repeats: int


def measure_point(
    run: Callable[[], float],
    seconds: float,
    *,
    repeats: int,
    most_seconds: float | None,
    wait: Callable[[], None],
) -> Point:
    """Time the generation of a length of audio, after a warm-up run.

    Args:
        run: Generates audio once and returns its seconds.
        seconds: The length, for the record.
        repeats: Timed runs.
        most_seconds: Start no further run after so long, warm-up counted; one run at least is timed.
        wait: Synchronises the device.
    """
    start = time.perf_counter()
    made = run()
    taken: list[float] = []
    while len(taken) < repeats and (
        not taken or most_seconds is None or time.perf_counter() - start < most_seconds
    ):
        wait()
        began = time.perf_counter()
        made = run()
        wait()
        taken.append(time.perf_counter() - began)
    low, high = np.percentile(taken, [25, 75])
    return Point(seconds, made, statistics.median(taken), float(low), float(high), len(taken))


def measure_curves(
    parts: Mapping[str, TimedPart],
    lengths: Sequence[float],
    *,
    repeats: int = 20,
    most_seconds: float | None = None,
    wait: Callable[[], None] = lambda: None,
) -> dict[str, list[dict[str, float]]]:
    """Time every part at every length, one audio at a time.

    Args:
        parts: Name to part.
        lengths: Seconds of audio.
        repeats, most_seconds, wait: As of :func:`measure_point`, for each point.

    Returns:
        Name to points, plain values for JSON.
    """
    if not lengths or not all(0 < seconds <= LONGEST for seconds in lengths):
        raise InputError(
            f"--lengths are {list(lengths)}, expected seconds of audio, each above 0, at most {LONGEST:g}"
        )
    if repeats < 1:
        raise InputError(f"--repeats is {repeats}, expected at least 1")
    curves: dict[str, list[dict[str, float]]] = {}
    for name, part in parts.items():
        curves[name] = []
        for seconds in sorted(lengths):
            point = measure_point(
                part(seconds), seconds, repeats=repeats, most_seconds=most_seconds, wait=wait
            )
            logger.info("%s, %g s: %.4f s (median of %d)", name, seconds, point.median, point.repeats)
            curves[name].append(asdict(point))
    return curves
