"""Systems side by side: word errors against another of the same source, what training and decoding took."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soundstorm.scoring.statistics import Estimate, bootstrap

Row = Mapping[str, Any]


def side_by_side(rows: Sequence[Row], compared_with: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the table of systems has beside their scores.

    Args:
        rows: Contents of score files of one test set.
        compared_with: Systems; every other one is compared with the first that has its source (semantic tokens, text)
            and as much of a prompt.

    Returns:
        For each system ``against``, a name or None; ``differences``, an estimate for each metric of word errors;
        ``trainings``, pairs of seconds and threads.
    """
    found = {}
    for row in rows:
        base = next((x for x in rows if x["system"] in compared_with and _alike(x, row)), row)
        metrics = [] if base is row else [name for name in row["metrics"] if name in base["metrics"]]
        found[row["system"]] = {
            "against": None if base is row else base["system"],
            "differences": {
                name: asdict(difference)
                for name in metrics
                if is_word_errors(name) and (difference := word_error_difference(row, base, name))
            },
            "trainings": trainings_of(row),
        }
    return found


def _alike(one: Row, other: Row) -> bool:
    return one["group"] == other["group"] and one["decode"].get("from") == other["decode"].get("from")


def is_word_errors(metric: str) -> bool:
    """Whether a metric is the word error rate of whole utterances, by whichever recogniser."""
    return metric.startswith("wer") and not metric.startswith("wer_after_prompt")


def word_error_difference(row: Row, base: Row, metric: str = "wer") -> Estimate | None:
    """How much higher a system's word error rate is, over the utterances that both have, each against itself."""
    gaps, words, speakers = [], [], []
    for utt_id, record in row["utterances"].items():
        other = base["utterances"].get(utt_id, {})
        if metric in record and metric in other:
            words.append(len(record["text"].split()))
            gaps.append((record[metric] - other[metric]) * words[-1])
            speakers.append(record.get("speaker"))
    return bootstrap(gaps, words, speakers=speakers) if gaps else None


def trainings_of(row: Row) -> list[tuple[float, int]]:
    """Seconds and threads of the trainings behind a system's speech, those of its tokenizers apart.

    Of a model of several networks those count that took part in decoding. None where a training has left no log.
    """
    decode, folders = row["decode"], []
    if decode.get("acoustic_model"):
        place, kind = Path(str(decode["acoustic_model"])), decode.get("kind")
        parts = [name.removeprefix(f"{kind}_") for name in row.get("runtime", {}) if name.startswith(f"{kind}_")]
        folders = [place / part for part in parts if (place / part).is_dir()] or [place]
    folders += [Path(str(decode[name])) for name in ("text_to_semantic", "continuation") if decode.get(name)]
    times = [training_time(folder / "log/train.log") for folder in folders]
    return [] if None in times else times


def training_time(log: Path) -> tuple[float, int] | None:
    """Seconds and threads of a training as its log has them; None where it does not say.

    The log of a training that was interrupted is of its last part: then the seconds for all steps at that one's pace.
    """
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    time = re.search(r"^# Accounting: time=(\d+) threads=(\d+)$", text, re.MULTILINE)
    if time is None:
        return None
    seconds, threads = float(time[1]), int(time[2])
    begin, last = re.search(r"going on from step (\d+)$", text, re.MULTILINE), re.search(r" step \d+/(\d+) ", text)
    if begin:
        done, steps = int(begin[1]), int(last[1]) if last else 0
        return (seconds * steps / (steps - done), threads) if steps > done else None
    return seconds, threads
