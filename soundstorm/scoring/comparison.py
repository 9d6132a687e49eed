"""How SoundStorm stands to AudioLM on the same semantic tokens: ratios of every metric and of the computing time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from soundstorm.scoring.system import REFERENCE

Row = Mapping[str, Any]


def ratios_to_audiolm(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every system that follows given semantic tokens, divided by AudioLM with as much of a voice prompt.

    Args:
        rows: Contents of score files of one test set.

    Returns:
        For each pair of rows its names, the ratios ``metrics[metric][length]``, and ``computing``: that of the seconds
        of computing acoustic tokens per second of speech. What AudioLM has as zero has no ratio.
    """
    compared = []
    for row in rows:
        baseline = None if _is_audiolm(row) else _baseline(row, rows)
        if baseline is not None:
            compared.append(
                {
                    "system": row["system"],
                    "baseline": baseline["system"],
                    "metrics": _metric_ratios(row["metrics"], baseline["metrics"]),
                    "computing": _ratio(_computing(row, "soundstorm"), _computing(baseline, "audiolm_")),
                }
            )
    return compared


def _baseline(row: Row, rows: Sequence[Row]) -> Row | None:
    if row["group"] == REFERENCE or row["decode"].get("from") != "semantic":
        return None
    return next((other for other in rows if other["group"] == row["group"] and _is_audiolm(other)), None)


def _is_audiolm(row: Row) -> bool:
    return bool(row["decode"].get("audiolm"))


def _metric_ratios(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    ratios = {
        metric: {
            length: ratio
            for length in metrics[metric]
            if length in baseline[metric]
            and (ratio := _ratio(metrics[metric][length]["value"], baseline[metric][length]["value"])) is not None
        }
        for metric in metrics
        if metric in baseline
    }
    return {metric: found for metric, found in ratios.items() if found}


def _computing(row: Row, part: str) -> float | None:
    """Seconds of computing per second of speech, of all parts whose names begin so."""
    times = [time["real_time_factor"] for name, time in row.get("runtime", {}).items() if name.startswith(part)]
    return sum(times) if times else None


def _ratio(value: float | None, to: float | None) -> float | None:
    return None if value is None or not to else value / to
