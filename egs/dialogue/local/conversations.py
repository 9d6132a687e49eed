"""Conversations, and the manifest that describes them: JSON lines, one conversation each.

Of a recording:

    {"id": "call7", "audio": "wav/call7.flac", "split": "train", "turns": [
        {"speaker": "ann", "start": 0.4, "end": 2.1, "text": "hello who is there"},
        {"speaker": "bob", "start": 2.3, "end": 3.0, "text": "me", "words": [["me", 2.5, 2.9]]}]}

Of turns in files of their own, which are put one after the other:

    {"id": "talk9", "turns": [
        {"speaker": "ann", "audio": "a/1.wav", "text": "good morning"},
        {"speaker": "bob", "audio": "b/8.wav", "start": 1.5, "end": 4.0, "gap": 0.3, "text": "good morning ann"}]}

Times are seconds in the file named; "gap" is the silence before a turn. "split" (train, dev or test), "text" and
"words" (word, start, end) may be left out. Paths are relative to the manifest. An empty text is a turn without speech.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from soundstorm.data.audio import write_audio
from soundstorm.data.text import TURN_MARKER

SPLITS = ("train", "dev", "test")
DEFAULT_GAP = 0.3  # seconds between turns that come in files of their own
MOST_BEYOND = 0.5  # seconds of a turn after its recording's end that are forgiven


@dataclass(frozen=True)
class Turn:
    """What one speaker says; times in seconds of the conversation's recording."""

    speaker: str
    start: float
    end: float
    text: str | None  # None: nobody wrote it down
    words: tuple[Turn, ...] = ()  # the same, word by word


@dataclass(frozen=True)
class Piece:
    """A part of a file, after a silence."""

    path: Path
    start: float
    end: float | None  # None: the end of the file
    gap: float


@dataclass(frozen=True)
class Conversation:
    """A recording and its turns; or files from which one is made, whose turns then have no times yet."""

    name: str
    audio: Path | None
    turns: tuple[Turn, ...]
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A conversation that can be read when its turn comes, so that a large corpus need not be held in memory."""

    name: str
    split: str | None
    load: Callable[[], Conversation]


def read_manifest(path: Path) -> Iterator[Entry]:
    """What is in a manifest.

    Raises:
        ValueError: a line is no JSON object with an id, or has a split that there is not.
    """
    with open(path, "rb") as stream:
        while True:
            offset, line = stream.tell(), stream.readline()
            if not line:
                return
            if not line.strip():
                continue
            where = f"{path}, line at byte {offset}"
            record = _parse(line, where)
            name, split = record.get("id"), record.get("split")
            if not isinstance(name, str) or not name:
                raise ValueError(f'{where}: "id" is {name!r}, expected the conversation\'s name')
            if split is not None and split not in SPLITS:
                raise ValueError(f'{where}: "split" is {split!r}, expected one of {", ".join(SPLITS)}')
            yield Entry(name, split, partial(_load_line, path, offset))


def _load_line(path: Path, offset: int) -> Conversation:
    with open(path, "rb") as stream:
        stream.seek(offset)
        line = stream.readline()
    where = f"{path}, line at byte {offset}"
    return parse_conversation(_parse(line, where), path.parent, where)


def _parse(line: bytes, where: str) -> dict:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected a JSON object, got {record!r:.60}")
    return record


def parse_conversation(record: dict, folder: Path, where: str) -> Conversation:
    """The conversation of one line of a manifest; see the module for what that may have.

    Raises:
        ValueError: something is missing or is not what it should be.
    """
    _check_keys(record, ("id", "audio", "split", "turns"), where)
    audio = record.get("audio")
    turns = record.get("turns")
    if not isinstance(turns, list) or not turns:
        raise ValueError(f'{where}: "turns" is {turns!r:.60}, expected a list of turns')
    known = (
        ("speaker", "start", "end", "text", "words") if audio else ("speaker", "start", "end", "text", "audio", "gap")
    )
    parsed, pieces = [], []
    for number, turn in enumerate(turns, start=1):
        place = f"{where}, turn {number}"
        if not isinstance(turn, dict):
            raise ValueError(f"{place}: expected an object, got {turn!r:.60}")
        _check_keys(turn, known, place)
        if not isinstance(turn.get("speaker"), str):
            raise ValueError(f'{place}: "speaker" is {turn.get("speaker")!r}, expected a name')
        text = turn.get("text")
        if text is not None and not isinstance(text, str):
            raise ValueError(f'{place}: "text" is {text!r:.60}, expected words')
        text = None if text is None else " ".join(text.replace(TURN_MARKER, " ").split())
        if audio:
            start, end = _times(turn.get("start"), turn.get("end"), place)
            words = tuple(_word(word, turn["speaker"], place) for word in turn.get("words") or ())
            parsed.append(Turn(turn["speaker"], start, end, text, words))
        else:
            pieces.append(_piece(turn, folder, place))
            parsed.append(Turn(turn["speaker"], 0.0, 0.0, text))
    return Conversation(record["id"], folder / audio if audio else None, tuple(parsed), tuple(pieces))


def _check_keys(record: dict, known: tuple[str, ...], where: str) -> None:
    if unknown := sorted(set(record) - set(known)):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; expected {', '.join(known)}")


def _times(start: object, end: object, where: str) -> tuple[float, float]:
    times = [value for value in (start, end) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(times) != 2 or not 0 <= times[0] < times[1] < 1e9:
        raise ValueError(f"{where}: from {start!r} to {end!r}, expected seconds with 0 <= start < end")
    return float(times[0]), float(times[1])


def _word(word: object, speaker: str, where: str) -> Turn:
    if not isinstance(word, list) or len(word) != 3 or not isinstance(word[0], str):
        raise ValueError(f"{where}: words have {word!r:.60}, expected [word, start, end]")
    return Turn(speaker, *_times(word[1], word[2], where), word[0].replace(TURN_MARKER, "").strip())


def _piece(turn: dict, folder: Path, where: str) -> Piece:
    if not isinstance(turn.get("audio"), str):
        raise ValueError(f'{where}: no "audio"; the conversation or each of its turns names a recording')
    start, end = turn.get("start", 0.0), turn.get("end")
    if end is not None:
        start, end = _times(start, end, where)
    gap = turn.get("gap", DEFAULT_GAP)
    if not isinstance(start, (int, float)) or start < 0 or not isinstance(gap, (int, float)) or not 0 <= gap < 3600:
        raise ValueError(f"{where}: start {start!r} and gap {gap!r}, expected seconds, 0 or more")
    return Piece(folder / turn["audio"], float(start), end, float(gap))


# -------------------------------------------------------------------------------------------------------------- audio


def at_rate(conversation: Conversation, rate: int, folder: Path) -> tuple[Conversation, int]:
    """The conversation with a recording of one channel at this rate, and the rate it was recorded at.

    A recording that is so already stays where it is; others, and those put together, are written to ``folder``, unless
    they are there of an earlier run.

    Raises:
        ValueError: a recording cannot be read or is shorter than its turns.
        FileNotFoundError: there is none.
    """
    import soundfile

    sources = [conversation.audio] if conversation.audio else [piece.path for piece in conversation.pieces]
    for path in sources:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such recording, but {conversation.name} is said to have it")
    recipe = f"{rate} {conversation.audio} {conversation.pieces}"  # another one makes another file
    target = (folder / f"{conversation.name}.{zlib.crc32(recipe.encode()):08x}.wav").absolute()
    try:
        infos = [soundfile.info(str(path)) for path in sources]
        lowest = min(info.samplerate for info in infos)
        if conversation.audio:
            duration = infos[0].duration
            if (infos[0].samplerate, infos[0].channels) != (rate, 1):
                if not _is_made(target, sources):
                    write_audio(target, _read(sources[0], 0.0, None, rate), rate)
                conversation = replace(conversation, audio=target)
        else:
            conversation, duration = _put_together(conversation, rate, target)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{conversation.name}: a recording cannot be read ({error}); remove or repair it") from error
    last = max(turn.end for turn in conversation.turns)
    if last > duration + MOST_BEYOND:
        raise ValueError(f"{conversation.name}: a turn ends at {last:.2f} s, but {sources[0]} lasts {duration:.2f} s")
    end = int(duration * 1000) / 1000  # times are written in ms
    turns = [replace(turn, end=min(turn.end, end)) for turn in conversation.turns if turn.start < end]
    return replace(conversation, turns=tuple(turns), audio=conversation.audio.absolute()), lowest


def _put_together(conversation: Conversation, rate: int, target: Path) -> tuple[Conversation, float]:
    import numpy as np
    import soundfile

    at, turns, samples = 0.0, [], []
    made = _is_made(target, [piece.path for piece in conversation.pieces])
    for turn, piece in zip(conversation.turns, conversation.pieces, strict=True):
        end = piece.end if piece.end is not None else soundfile.info(str(piece.path)).duration
        gap = round(piece.gap * rate) if turns else 0
        count = round((end - piece.start) * rate)
        if not made:
            wav = _read(piece.path, piece.start, end, rate)[:count]
            samples += [np.zeros(gap, np.float32), wav, np.zeros(count - len(wav), np.float32)]
        start = at + gap / rate
        at = start + count / rate
        turns.append(replace(turn, start=round(start, 3), end=round(at, 3)))
    if not made:
        write_audio(target, np.concatenate(samples), rate)
    return replace(conversation, audio=target, turns=tuple(turns)), at


def _is_made(target: Path, sources: list[Path]) -> bool:
    return target.is_file() and all(target.stat().st_mtime >= path.stat().st_mtime for path in sources)


def _read(path: Path, start: float, end: float | None, rate: int):
    """Part of a file as one channel at another rate; channels are mixed."""
    import soundfile
    import soxr

    with soundfile.SoundFile(str(path)) as recording:
        recording.seek(min(round(start * recording.samplerate), recording.frames))
        frames = -1 if end is None else round((end - start) * recording.samplerate)
        wav = recording.read(frames, dtype="float32", always_2d=True).mean(axis=1)
        return soxr.resample(wav, recording.samplerate, rate) if recording.samplerate != rate else wav
