"""How the first acoustic model stands to the others on the same semantic tokens: ratios of metrics and computing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from soundstorm.scoring.system import REFERENCE

Row = Mapping[str, Any]


def kinds_of(rows: Sequence[Row]) -> list[str]:
    """Kinds of acoustic models, in the order of first mention."""
    return list(dict.fromkeys(_kind(row) for row in rows if _kind(row)))


def ratios_to_others(rows: Sequence[Row], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Every system of the first acoustic model, divided by each other model's with as much of a voice prompt.

    Compared are systems that follow given semantic tokens.

    Args:
        rows: Contents of score files of one test set.
        kinds: Of acoustic models, the one that is compared with the others first.

    Returns:
        For each pair of rows its names, the ratios ``metrics[metric][length]``, and ``computing``: that of the seconds
        of computing acoustic tokens per second of speech. What the other model has as zero has no ratio.
    """
    candidates = [row for row in rows if row["group"] != REFERENCE and row["decode"].get("from") == "semantic"]
    compared = []
    for other in kinds[1:]:
        for row in candidates:
            twin = next((x for x in candidates if _kind(x) == other and x["group"] == row["group"]), None)
            if _kind(row) != kinds[0] or twin is None:
                continue
            compared.append(
                {
                    "system": row["system"],
                    "baseline": twin["system"],
                    "metrics": _metric_ratios(row["metrics"], twin["metrics"]),
                    "computing": _ratio(_computing(row), _computing(twin)),
                }
            )
    return compared


def _kind(row: Row) -> str | None:
    return row["decode"].get("kind")


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


def _computing(row: Row) -> float | None:
    """Seconds of computing acoustic tokens per second of speech: of the parts called as the kind or its stages."""
    kind = _kind(row)
    times = [
        time["real_time_factor"]
        for name, time in row.get("runtime", {}).items()
        if name == kind or name.startswith(f"{kind}_")
    ]
    return sum(times) if times else None


def _ratio(value: float | None, to: float | None) -> float | None:
    return None if value is None or not to else value / to
