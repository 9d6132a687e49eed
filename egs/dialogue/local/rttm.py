"""Turns from RTTM, their words from CTM or STM; or turns and words from STM alone. Times are seconds.

RTTM   SPEAKER <file> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>
STM    <file> <channel> <speaker> <start> <end> [<labels>] <words>
CTM    <file> <channel> <start> <duration> <word> [<confidence>]
"""

from __future__ import annotations

import logging
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from conversations import Conversation, Entry, Turn

from soundstorm.data.data_dir import BYTE_ORDER_MARK, parse_seconds
from soundstorm.data.text import TURN_MARKER

logger = logging.getLogger(__name__)
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".sph")
NOBODY = ("inter_segment_gap", "excluded_region")
NOT_WORDS = "IGNORE_TIME_SEGMENT_IN_SCORING"
MOST_LOST = 0.05  # share of words that lie in no turn
Files = dict[str, list[Turn]]


def read_rttm(
    audio: Path, *, rttm: Path | None = None, stm: Path | None = None, ctm: Path | None = None
) -> Iterator[Entry]:
    """Conversations, one for each file that has turns.

    Args:
        audio: folder in which, or in folders of which, <file>.wav (or .flac, ...) lie.
        rttm, stm, ctm: RTTM with STM or CTM, or STM alone.

    Raises:
        ValueError: a line is malformed, words lie in no turn, or a combination that says too little.
        FileNotFoundError: a file has no recording.
    """
    if stm is None and (rttm is None or ctm is None) or stm and ctm:
        raise ValueError("give --rttm with --ctm, --rttm with --stm, or --stm alone")
    texts = _read_stm(stm) if stm else _read_ctm(ctm)
    turns = _read_rttm_turns(rttm) if rttm else texts
    paths = {path.stem: path for path in sorted(audio.rglob("*")) if path.suffix in SUFFIXES}
    lost = total = 0
    for name in sorted(turns):
        if name not in paths:
            raise FileNotFoundError(f"{audio}: no recording {name}.wav (or .flac, ...), which has turns")
        spoken = turns[name]
        if rttm and name in texts:  # turns of other files keep the text None: nobody wrote it down
            spoken, missed = assign(spoken, texts[name], keep_words=stm is None)
            lost, total = lost + missed, total + len(texts[name])
        conversation = Conversation(clean(name), paths[name], tuple(spoken))
        yield Entry(conversation.name, None, partial(_same, conversation))
    if lost > MOST_LOST * total:
        raise ValueError(
            f"{lost} of {total} entries of {stm or ctm} lie in no turn of {rttm}, more than {MOST_LOST:.0%}; "
            "do names and times belong together?"
        )
    if lost:
        logger.warning("%d of %d entries of %s lie in no turn of %s and are left out", lost, total, stm or ctm, rttm)


def _same(conversation: Conversation) -> Conversation:
    return conversation


def clean(name: str) -> str:
    """A file's name as an id."""
    plain = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
    return plain if plain == name else f"{plain}_{zlib.crc32(name.encode()):08x}"


def assign(turns: list[Turn], texts: list[Turn], *, keep_words: bool) -> tuple[list[Turn], int]:
    """Give every text to the turn that it overlaps most, of its own speaker where that is known.

    Args:
        turns: without words.
        texts: what was said, when, and by whom (an empty name where that is not known).
        keep_words: the texts are words, whose times are kept.

    Returns:
        The turns with their words, and how many texts overlap no turn.
    """
    given: dict[int, list[Turn]] = defaultdict(list)
    speakers = {turn.speaker for turn in turns}
    lost = 0
    for text in texts:
        overlaps = [
            (min(turn.end, text.end) - max(turn.start, text.start), -number)
            for number, turn in enumerate(turns)
            if text.speaker not in speakers or turn.speaker == text.speaker
        ]
        overlap, number = max(overlaps, default=(0.0, 0))
        if overlap <= 0:
            lost += 1
            continue
        given[-number].append(replace(text, speaker=turns[-number].speaker))
    spoken = []
    for number, turn in enumerate(turns):
        parts = sorted(given[number], key=lambda part: part.start)
        words = tuple(parts) if keep_words else ()
        spoken.append(replace(turn, text=" ".join(part.text for part in parts), words=words))
    return spoken, lost


def _lines(path: Path, least: int) -> Iterator[tuple[str, list[str]]]:
    """Where a line stands, and its fields."""
    text = path.read_text(encoding="utf-8")
    if text.startswith(BYTE_ORDER_MARK):
        logger.warning("%s: a byte order mark is passed over", path)
    for number, line in enumerate(text.lstrip(BYTE_ORDER_MARK).split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        if len(fields) < least:
            raise ValueError(f"{path}, line {number}: {len(fields)} fields, expected {least} or more")
        yield f"{path}, line {number}", fields


def _turn(where: str, speaker: str, start: str, end: str, text: str | None, *, duration: bool) -> Turn:
    try:
        first, last = parse_seconds(start), parse_seconds(end)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    last += first if duration else 0.0
    if not 0 <= first <= last:
        raise ValueError(f"{where}: from {first:g} to {last:g} s, expected 0 <= start <= end")
    return Turn(speaker, first, max(last, first + 0.001), text)


def _read_rttm_turns(path: Path) -> Files:
    files: Files = defaultdict(list)
    for where, fields in _lines(path, 8):
        if fields[0] == "SPEAKER":
            files[fields[1]].append(_turn(where, fields[7], fields[3], fields[4], None, duration=True))
    return files


def _read_ctm(path: Path) -> Files:
    files: Files = defaultdict(list)
    for where, fields in _lines(path, 5):
        files[fields[0]].append(
            _turn(where, "", fields[2], fields[3], fields[4].replace(TURN_MARKER, ""), duration=True)
        )
    return files


def _read_stm(path: Path) -> Files:
    files: Files = defaultdict(list)
    for where, fields in _lines(path, 5):
        words = fields[6:] if len(fields) > 5 and re.fullmatch(r"<.*>", fields[5]) else fields[5:]
        if fields[2] in NOBODY or words[:1] == [NOT_WORDS]:
            continue
        text = " ".join(" ".join(words).replace(TURN_MARKER, " ").split())
        files[fields[0]].append(_turn(where, fields[2], fields[3], fields[4], text, duration=False))
    return files
