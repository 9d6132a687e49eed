"""Conversations cut into chunks between turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from conversations import Turn

from soundstorm.data.text import TURN_MARKER


class Chunk(NamedTuple):
    """A part of a conversation, in seconds of its recording."""

    start: float
    end: float
    text: str | None  # with a marker where the speaker changes; None where some of it is not known
    speakers: frozenset[str]


def cut(turns: Sequence[Turn], *, max_seconds: float, max_gap: float) -> list[Chunk]:
    """Chunks of as many turns as fit, without a long silence.

    Nothing is cut inside of a turn, so turns that overlap stay together, unless they alone are longer than a chunk.
    Then they are cut between words, where word times are known; else evenly, and nobody knows which part says what.

    Args:
        turns: In any order; those without words (an empty text) are silence.
        max_seconds: Longest chunk.
        max_gap: Longest silence in a chunk.
    """
    units = [unit for whole in together(turns) for unit in _short_enough(whole, max_seconds, max_gap)]
    chunks: list[list[Turn]] = []
    for unit in units:
        start, end = unit[0].start, _end(unit)
        near = chunks and start - _end(chunks[-1]) <= max_gap and end - chunks[-1][0].start <= max_seconds
        # What is transcribed does not become part of what is not.
        if near and (words_of(chunks[-1]) is None) == (words_of(unit) is None):
            chunks[-1] += unit
        else:
            chunks.append(list(unit))
    return [Chunk(c[0].start, _end(c), words_of(c), frozenset(turn.speaker for turn in c)) for c in chunks]


def together(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Turns in groups that overlap in time, sorted; the end of one may be the start of the next."""
    groups: list[list[Turn]] = []
    for turn in sorted((t for t in turns if t.text != ""), key=lambda t: (t.start, t.end, t.speaker)):
        if groups and turn.start < _end(groups[-1]):
            groups[-1].append(turn)
        else:
            groups.append([turn])
    return groups


def _end(turns: Sequence[Turn]) -> float:
    return max(turn.end for turn in turns)


def _short_enough(unit: list[Turn], max_seconds: float, max_gap: float) -> list[list[Turn]]:
    """A group of overlapping turns as it is, or its words, or equal parts whose words nobody knows."""
    start, end = unit[0].start, _end(unit)
    if end - start <= max_seconds:
        return [unit]
    if all(turn.words for turn in unit):
        words = [word for turn in unit for word in turn.words]
        return [part for word in together(words) for part in _short_enough(word, max_seconds, max_gap)]
    parts = 1
    while (end - start) / parts > max_seconds - 0.002:  # borders are in ms
        parts += 1
    borders = [round(start + (end - start) * i / parts, 3) for i in range(parts + 1)]
    speaker = unit[0].speaker
    return [[Turn(speaker, a, b, None)] for a, b in zip(borders, borders[1:])]


def words_of(turns: Sequence[Turn]) -> str | None:
    """What is said, with a marker where the speaker changes."""
    if any(turn.text is None for turn in turns):
        return None
    text, speaker = "", None
    for turn in turns:
        if text:
            text += " " if turn.speaker == speaker else f" {TURN_MARKER} "
        text, speaker = text + turn.text, turn.speaker
    return text


def exchange(turns: Sequence[Turn], *, max_seconds: float) -> Chunk | None:
    """An exchange to prompt with: the first turns of two speakers, all transcribed, and what follows as it fits."""
    units = together(turns)
    for first in range(len(units)):
        chosen: list[Turn] = []
        for unit in units[first:]:
            if _end([*chosen, *unit]) - units[first][0].start > max_seconds:
                break
            chosen += unit
        speakers = frozenset(turn.speaker for turn in chosen)
        if len(speakers) > 1 and (text := words_of(chosen)) is not None:
            return Chunk(chosen[0].start, _end(chosen), text, speakers)
    return None
