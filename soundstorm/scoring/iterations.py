"""Word errors and quality against the number of iterations of the first level: the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from soundstorm.scoring.score_file import read_score
from soundstorm.scoring.statistics import ALL

METRICS = ("wer", "cer", "dnsmos")


def measure_iterations(
    counts: Sequence[int],
    folder: Path,
    decode: Callable[[int, Path], None],
    score: Callable[[int, Path, Path], None],
) -> list[dict[str, Any]]:
    """Decode and score the same utterances with each number of iterations; what is there already stays.

    Args:
        counts: Iterations of the first level.
        folder: Where decoded speech and scores go.
        decode: Writes a decode directory, given the number and where.
        score: Writes a score file, given the number, the decode directory and where.

    Returns:
        A point for each number, in their order.
    """
    if not counts or min(counts) < 1:
        raise ValueError(f"--iterations are {list(counts)}, expected numbers, each at least 1")
    points = []
    for count in sorted(set(counts)):
        decoded, scored = folder / f"decode_{count}", folder / f"score_{count}.json"
        decode(count, decoded)
        score(count, decoded, scored)
        content = read_score(scored)
        points.append(
            {
                "iterations": count,
                "metrics": {
                    name: content["metrics"][name][ALL] for name in METRICS if name in content["metrics"]
                },
                "runtime": content["runtime"],
            }
        )
    return points
