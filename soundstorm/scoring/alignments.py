"""How text and speech were aligned by a system that reads text with attention: a section of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.data.records import read_json
from soundstorm.scoring.system import read_decode_info
from soundstorm.scoring.tables import table

FIGURES = {
    "focus_rate": "Focus rate %",
    "coverage": "Coverage %",
    "diagonal": "On the diagonal %",
    "jumps_back": "Steps back %",
    "stopped": "Ended by itself %",
}
DRAWN = 4  # utterances in the picture


def read_alignments(decode_dirs: Sequence[str | Path]) -> tuple[list[dict[str, Any]], dict[str, list]]:
    """Means of every decode directory's figures, and some alignments of the first one.

    Raises:
        ValueError: a file is damaged.
        FileNotFoundError: there is none; the system has no alignments.
    """
    systems, drawn = [], {}
    for directory in map(Path, decode_dirs):
        path = directory / "alignments.json"
        content = read_json(path, "it is written by synthesize of a system that reads text; decode again")
        try:
            means = {name: _mean([entry[name] for entry in content.values()]) for name in FIGURES}
            found = {
                utt: np.array(entry["attention"], dtype=float).clip(0, 1)
                for utt, entry in content.items()
                if "attention" in entry
            }
            if any(each.ndim != 2 or not each.size for each in found.values()):
                raise ValueError("attention")
        except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
            raise InputError(f"{path}: no figures of alignments ({error!r}); decode again") from error
        title = read_decode_info(directory).require_title()
        systems.append({"system": title, "set": directory.name, "utterances": len(content), "figures": means})
        drawn = drawn or {utt: found[utt].tolist() for utt in list(found)[:DRAWN]}
    return systems, drawn


def _mean(values: Sequence[Any]) -> float:
    mean = sum(float(value) for value in values) / len(values)
    if not math.isfinite(mean):
        raise ValueError(f"the mean is {mean}")
    return mean


def alignments_section(systems: Sequence[Mapping[str, Any]], facts: str) -> str:
    """A row for every system and set."""
    rows = [
        [
            each["system"], each["set"], str(each["utterances"]),
            *(f"{100 * each['figures'][name]:.1f}" for name in FIGURES),
        ]
        for each in systems
    ]  # fmt: skip
    note = (
        "Means over utterances. Focus rate: largest weight of a step; coverage: characters that got more than "
        "half a step in all; on the diagonal: mass within a tenth of the text; steps back: those attending most "
        "to a character before that of the step before.\n"
    )
    header = ["System", "Set", "Utterances", *FIGURES.values()]
    return "\n".join(["## Alignments of text and speech\n", table(header, rows), note, facts])
