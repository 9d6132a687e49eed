"""Scripts of dialogues: turns of voices, and how many of them are synthesized in one segment."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from soundstorm.data.errors import InputError
from soundstorm.data.text import TURN_MARKER

SEPARATOR = f" {TURN_MARKER} "


@dataclass(frozen=True)
class Turn:
    """One line of a script."""

    voice: str
    text: str


def read_script(path: str | Path) -> list[Turn]:
    """Lines ``A: what A says`` of a file; empty lines and lines that begin with # are passed over.

    Raises:
        ValueError: a line of another form, or a script without turns.
    """
    try:
        return read_script_text(Path(path).read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error})") from error


def read_script_text(text: str, name: str) -> list[Turn]:
    """The same of a text; ``name`` is for errors."""
    turns = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)", line)
        if not match:
            raise InputError(f"{name}, line {number}: expected 'A: some words', got {line[:60]!r}")
        if TURN_MARKER in match[2]:
            raise InputError(f"{name}, line {number}: '{TURN_MARKER}' marks turns; begin a new line instead")
        turns.append(Turn(match[1], match[2]))
    if not turns:
        raise InputError(f"{name}: no turns; write lines such as 'A: hello' and 'B: good morning'")
    return turns


def passes(turns: list[Turn], max_characters: int) -> list[list[Turn]]:
    """Group consecutive turns into segments; a turn that is too long alone becomes several pieces."""
    groups: list[list[Turn]] = [[]]
    size = 0
    pieces = [Turn(turn.voice, piece) for turn in turns for piece in _pieces(turn.text, max_characters)]
    for turn in pieces:
        if groups[-1] and size + len(turn.text) > max_characters:
            groups.append([])
            size = 0
        groups[-1].append(turn)
        size += len(turn.text) + len(SEPARATOR)
    return groups


def _pieces(text: str, most: int) -> list[str]:
    """A text in pieces of at most so many characters: whole sentences where they fit, else whole words."""
    if len(text) <= most:
        return [text]
    pieces: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        parts = textwrap.wrap(sentence, most, break_long_words=False, break_on_hyphens=False)
        if pieces and len(parts) == 1 and len(pieces[-1]) + 1 + len(parts[0]) <= most:
            pieces[-1] += f" {parts[0]}"
        else:
            pieces += parts
    return pieces


def joined_text(turns: list[Turn]) -> str:
    """Words of several turns, with a marker where the voice changes."""
    text = turns[0].text
    for before, turn in zip(turns, turns[1:], strict=False):
        text += (SEPARATOR if turn.voice != before.voice else " ") + turn.text
    return text
