"""Evaluation results of a pack as the hub reads them: ``.eval_results/*.yaml``, one a system and set."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from soundstorm.data.data_dir import write_text
from soundstorm.data.errors import InputError
from soundstorm.data.pack import without_places
from soundstorm.data.records import make_record, read_json
from soundstorm.decoding.acoustic_generator import MODULES, part_names
from soundstorm.scoring.statistics import ALL, Estimate

if TYPE_CHECKING:
    from soundstorm.sharing.model_card import Card

FOLDER = ".eval_results"
REPORT = "report.json"
# What is published, in this order, and where its ear or judge is named among the settings.
METRICS = {
    "wer": "recognizers", "cer": "recognizers", "voice_preservation": "speaker",
    "acoustic_consistency": "consistency", "dnsmos": None,
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One figure."""

    dataset: str  # on the hub, or what stands for it
    set_name: str  # e.g. test
    system: str
    metric: str
    value: float
    date: str | None
    notes: str  # interval, number of utterances, who judged


def read_results(card: Card, parts: Collection[str]) -> list[Result]:
    """The figures of the packed models, from ``report.json`` beside the card's Markdown file, if any.

    Raises:
        ValueError: it is no report.
    """
    path = Path(card.results).with_name(REPORT) if card.results else None
    if path is None or not path.is_file():
        return []
    report = read_json(path, "make the report again")
    dataset = card.datasets[0] if card.datasets else _slug(card.title)
    kinds = {kind for kind in MODULES if set(part_names(kind)) & set(parts)}
    results = []
    try:
        date = report["facts"].get("date")
        for place, scores in report["sets"].items():
            for row in scores["rows"]:
                kind = row["decode"].get("kind")
                if row["decode"] and (
                    kind is None or kind in kinds
                ):  # neither recordings nor a model that is not here
                    results += _of_row(row, dataset, Path(place).name, date)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a report ({type(error).__name__}: {error}); make it again") from error
    return results


def _of_row(row: dict[str, Any], dataset: str, set_name: str, date: str | None) -> list[Result]:
    found = []
    for metric, judge in METRICS.items():
        if metric not in row["metrics"]:
            continue
        estimate = make_record(Estimate, row["metrics"][metric][ALL], metric)
        notes = f"{row['system']}, set {set_name}: {estimate.count} utterances, "
        notes += f"95 % interval {estimate.low:.4g} to {estimate.high:.4g}"
        judges = row.get("settings", {}).get(judge)
        judges = judges[0] if isinstance(judges, list) and judges else judges
        notes += f", judged by {without_places(judges)}" if judges else ""
        found.append(Result(dataset, set_name, row["system"], metric, round(estimate.value, 4), date, notes))
    return found


def write_results(folder: Path, results: Sequence[Result]) -> None:
    """Write ``.eval_results`` of a pack, where there are results."""
    files: dict[str, list[dict]] = {}
    for result in results:
        entry = {"dataset": {"id": result.dataset, "task_id": result.metric}, "value": result.value}
        entry |= {"date": str(result.date)} if result.date else {}
        name = f"{_slug(result.set_name)}_{_slug(result.system)}.yaml"
        files.setdefault(name, []).append({**entry, "notes": result.notes})
    if files:
        (folder / FOLDER).mkdir()
    for name, entries in files.items():
        write_text(folder / FOLDER / name, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"
