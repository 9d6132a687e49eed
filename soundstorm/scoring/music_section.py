"""What a report says of music: a table and piano rolls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soundstorm.scoring.figures import piano_roll_figure
from soundstorm.scoring.tables import interval, table

COLUMNS = {"onset_f1": ("Note onset F1", 3), "key": ("Key consistency", 3), "tempo": ("Tempo ratio", 3)}


def music_section(extras: Sequence[Mapping[str, Any]]) -> str:
    """Notes, key, tempo and Fréchet distance of every system."""
    parts = []
    for content in extras:
        names = [name for name in COLUMNS if any(name in row["metrics"] for row in content["rows"])]
        header = ["System", *(f"{COLUMNS[name][0]} [95 %] (pieces)" for name in names)]
        header += ["Fréchet distance"] if content["encoder"] else []
        rows = []
        for row in content["rows"]:
            found = row["metrics"]
            cells = [interval(found[name], COLUMNS[name][1]) if name in found else "-" for name in names]
            cells += [f"{found['frechet']['value']:.2f}"] if content["encoder"] else []
            rows.append([row["system"], *cells])
        parts += [
            f"## Music on `{Path(content['data_dir']).name}`\n",
            table(header, rows),
            _note(content),
            "Key consistency by window: " + "; ".join(_curve(row) for row in content["rows"]) + ".\n",
            "; ".join(f"{name}: {value}" for name, value in content["facts"].items()) + "\n",
        ]
    return "\n".join(parts)


def _curve(row: Mapping[str, Any]) -> str:
    return f"{row['system']} " + " ".join("-" if v is None else f"{v:.3f}" for v in row["curve"])


def _note(content: Mapping[str, Any]) -> str:
    seconds, window = content["prompt_seconds"], content["window_seconds"]
    words = [
        f"All of what follows the first {seconds:g} s. Intervals draw works.",
        f"Key consistency: cosine between the mean chroma of the prompt and of successive {window:g} s.",
        "Tempo ratio: 1 is the prompt's tempo, 1.41 the farthest, as double and half count as the same.",
        "The true continuation is what can be reached, another piece (what follows in another work) what chance gives.",
    ]
    if content["transcriber"]:
        words.append(
            f"Note onset F1: pitch and onset within 50 ms of those heard in the recording, both by "
            f"{content['transcriber']}; of systems that were told what to play."
        )
    if content["encoder"]:
        words.append(
            f"Fréchet distance: windows of 1 s against {content['reference']} on our own encoder, "
            f"{content['encoder']}; comparable within this table only."
        )
    return " ".join(words) + "\n"


def piano_rolls(content: Mapping[str, Any], path: Path) -> Path | None:
    """Notes of one utterance, as each system plays it; None where nothing was transcribed."""
    return piano_roll_figure(content["rolls"], content["prompt_seconds"], path) if content["rolls"] else None
