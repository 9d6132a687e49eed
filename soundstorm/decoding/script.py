"""Scripts of dialogues: turns of voices, and how many of them are synthesized in one segment."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from soundstorm.data.data_dir import not_utf8
from soundstorm.data.data_dir_values import has_words
from soundstorm.data.errors import InputError
from soundstorm.data.text import TURN_MARKER, normalize_text

SEPARATOR = f" {TURN_MARKER} "
# After these a text is taken apart. Blanks follow a full stop of Latin script; NFKC makes the plain signs of the wide
# ones, which have none after them.
SENTENCE_END = re.compile(r"[.!?](?=\s)|[!?](?=[^\W\x00-\x7f])|[。！？؟।…][」』”’]*")


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
        raise InputError(not_utf8(path)) from error


def read_script_text(text: str, name: str) -> list[Turn]:
    """The same of a text; ``name`` is for errors."""
    turns = []
    # Not splitlines(): words may have characters that it takes for line ends.
    for number, line in enumerate(re.split(r"\r\n?|\n", text), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)", line)
        if not match:
            raise InputError(f"{name}, line {number}: expected 'A: some words', got {line[:60]!r}")
        if TURN_MARKER in normalize_text(match[2]):  # also in its wide form
            raise InputError(f"{name}, line {number}: '{TURN_MARKER}' marks turns; begin a new line instead")
        turns.append(Turn(match[1], match[2]))
    if not turns:
        raise InputError(f"{name}: no turns; write lines such as 'A: hello' and 'B: good morning'")
    return turns


def passes(turns: list[Turn], max_characters: int) -> list[list[Turn]]:
    """Group consecutive turns into segments, all with words; a turn that is too long alone becomes several pieces."""
    groups: list[list[Turn]] = [[]]
    size = 0
    pieces = [Turn(turn.voice, piece) for turn in turns for piece in _pieces(turn.text, max_characters)]
    for turn in pieces:
        spoken = sum(map(_spoken, turn.text))
        if size + spoken > max_characters and has_words(turn.text) and any(has_words(t.text) for t in groups[-1]):
            groups.append([])
            size = 0
        groups[-1].append(turn)
        size += spoken + len(SEPARATOR)
    return groups


def _spoken(character: str) -> int:
    """As how many characters one counts: of Chinese, Japanese and Korean it is a syllable."""
    return 3 if unicodedata.east_asian_width(character) in "WF" else 1


def _pieces(text: str, most: int) -> list[str]:
    """A text in pieces of at most so many characters: whole sentences where they fit, else whole words, and of words
    that are longer, or a script without blanks, as much as fits."""
    pieces, left = [], text.strip()
    while left:
        end = max(1, sum(size <= most for size in accumulate(map(_spoken, left[:most]))))
        if end < len(left):
            sentences = [found.end() for found in SENTENCE_END.finditer(left, 0, end + 1) if found.end() <= end]
            end = sentences[-1] if sentences else min(end, len(left[: end + 1].rsplit(maxsplit=1)[0]))
        pieces.append(left[:end])
        left = left[end:].lstrip()
    return pieces


def joined_text(turns: list[Turn]) -> str:
    """Words of several turns, with a marker where the voice changes."""
    text = turns[0].text
    for before, turn in zip(turns, turns[1:], strict=False):
        text += (SEPARATOR if turn.voice != before.voice else " ") + turn.text
    return text
