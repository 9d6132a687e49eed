"""DailyTalk as published: data/<dialogue>/<turn>_<speaker>_d<dialogue>.wav, and .txt beside each with its words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from conversations import Conversation, Entry, Piece, Turn

HELP = (
    "DailyTalk is published at https://github.com/keonlee9420/DailyTalk. Unpack it and pass the folder that holds "
    "data/: --dailytalk <folder>"
)
FILE = re.compile(r"(\d+)_([A-Za-z0-9]+)_d(\d+)\.wav")


def read_dailytalk(root: Path, gap: float) -> Iterator[Entry]:
    """Its dialogues; turns are put one after the other with ``gap`` seconds of silence between them.

    Raises:
        FileNotFoundError: that is not DailyTalk.
    """
    folder = root / "data"
    names = [name for name in os.listdir(folder) if name.isdecimal()] if folder.is_dir() else []
    if not names:
        raise FileNotFoundError(f"--dailytalk {root}: no data/0, data/1, ... in it. {HELP}")
    for name in sorted(names, key=int):
        yield Entry(f"dailytalk{int(name):05d}", None, partial(_load, folder / name, f"dailytalk{int(name):05d}", gap))


def _load(folder: Path, name: str, gap: float) -> Conversation:
    found = [match for match in map(FILE.fullmatch, os.listdir(folder)) if match]
    if not found:
        raise ValueError(f"{folder}: no <turn>_<speaker>_d<dialogue>.wav in it; unpack it again")
    turns, pieces = [], []
    for match in sorted(found, key=lambda match: int(match[1])):
        path = folder / match[0]
        words = path.with_suffix(".txt")
        if not words.is_file():
            raise ValueError(f"{words}: missing; unpack DailyTalk again")
        turns.append(Turn(f"dailytalk-{match[2]}", 0.0, 0.0, " ".join(words.read_text(encoding="utf-8-sig").split())))
        pieces.append(Piece(path, 0.0, None, gap))
    return Conversation(name, None, tuple(turns), tuple(pieces))
