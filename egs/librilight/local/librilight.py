"""LibriLight as published: where its files lie, and pieces of them cut where nobody speaks.

<subset>/<speaker>/<book>/<file>.flac, and <file>.json beside it, whose "voice_activity" is a list of [start, end] in
seconds. Subsets are small (577 h), medium (5193 h), large (51934 h) and duplicate, which is not used unless named.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SUBSETS = ("small", "medium", "large")
SAMPLE_RATE = 16000  # Hz
HELP = (
    "LibriLight is published as small.tar, medium.tar and large.tar (https://github.com/facebookresearch/libri-light). "
    "Unpack what you want of it into one folder and pass that: --librilight <folder>"
)
# What nearly all names of books and files end in; without it ids are half as long.
SUFFIXES = re.compile(r"(_librivox)?(_(64|128)kb)?(_mp3)?$")
MOST_BEYOND = 1.0  # seconds of speech promised after a recording's end that are forgiven
Span = tuple[float, float]  # seconds


class Cuts(NamedTuple):
    """How recordings are cut.

    Attributes:
        max_seconds: Longest piece.
        min_seconds: Shortest piece that is kept.
        max_gap: Longest silence within a piece.
    """

    max_seconds: float = 30.0
    min_seconds: float = 1.0
    max_gap: float = 1.5


class Recording(NamedTuple):
    """One file of the corpus."""

    name: str  # id, which begins with the speaker's
    path: Path


def find_recordings(root: Path, subsets: Sequence[str]) -> tuple[dict[str, list[Recording]], int]:
    """All files, without looking into them.

    Args:
        root: The folder that holds the subsets.
        subsets: Those to use, in order of precedence: what is in several of them counts once.

    Returns:
        Speaker to recordings, both sorted by name, and how many files were left out as repeated.
    """
    found: dict[str, dict[str, Path]] = {}
    names: dict[str, tuple[str, str, str]] = {}
    repeated = 0
    for subset in subsets:
        for speaker, book, file, path in _walk(root / subset):
            name = "-".join([speaker, clean(book), clean(file)])
            if names.setdefault(name, (speaker, book, file)) != (speaker, book, file):
                name += f"_{zlib.crc32(f'{book}/{file}'.encode()):08x}"  # two names alike but for their suffixes
            repeated += name in found.setdefault(speaker, {})
            found[speaker].setdefault(name, path)
    ordered = sorted(found, key=lambda speaker: f"{speaker}-")
    return {s: [Recording(name, found[s][name]) for name in sorted(found[s])] for s in ordered}, repeated


def _walk(subset: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Speaker, book, file without ending, and path, in the order of their names."""
    for speaker in _folders(subset):
        for book in _folders(subset / speaker):
            for entry in sorted(os.listdir(subset / speaker / book)):
                if entry.endswith(".flac") and not entry.startswith("."):
                    yield speaker, book, entry[: -len(".flac")], (subset / speaker / book / entry).absolute()


def _folders(path: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))


def clean(name: str) -> str:
    """A book's or file's name as part of an id: without its usual ending, odd letters made plain."""
    short = SUFFIXES.sub("", name) or name
    plain = re.sub(r"[^A-Za-z0-9._+]", "_", short)
    return plain if plain == short else f"{plain}_{zlib.crc32(name.encode()):08x}"


def read_pieces(recording: Recording, cuts: Cuts) -> list[Span]:
    """The pieces of one recording, in seconds.

    Raises:
        ValueError: The recording or its JSON file is missing or damaged, or they do not belong together.
        OSError: They cannot be read.
    """
    import soundfile

    try:
        info = soundfile.info(str(recording.path))
    except soundfile.SoundFileError as error:
        raise ValueError(f"{recording.path}: cannot be read as audio ({error})") from error
    if (info.samplerate, info.channels) != (SAMPLE_RATE, 1):
        raise ValueError(
            f"{recording.path}: {info.samplerate} Hz and {info.channels} channels, expected {SAMPLE_RATE} Hz and 1"
        )
    spans = read_voice_activity(recording.path.with_suffix(".json"))
    if spans and spans[-1][1] > info.duration + MOST_BEYOND:
        raise ValueError(
            f"{recording.path}: lasts {info.duration:.1f} s, but its JSON file has speech up to {spans[-1][1]:.1f} s; "
            "the download was cut short"
        )
    last = int(info.duration * 1000) / 1000  # times are written in ms
    return cut([(start, min(end, last)) for start, end in spans if start < last], cuts)


def read_voice_activity(path: Path) -> list[Span]:
    """Where somebody speaks, in seconds: sorted, apart from each other.

    Raises:
        ValueError: There is no such file, or it does not say.
    """
    try:
        spans = json.loads(path.read_bytes())["voice_activity"]
        pairs = [(float(start), float(end)) for start, end in spans]
    except FileNotFoundError:
        raise ValueError(f"{path}: missing") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f'{path}: no "voice_activity" of [start, end] in seconds ({error!r:.80})') from error
    apart: list[Span] = []
    for start, end in sorted(pairs):
        if not 0 <= start < end < float("inf"):
            raise ValueError(f"{path}: voice_activity has [{start:g}, {end:g}], expected 0 <= start < end")
        if apart and start <= apart[-1][1]:
            start, end = apart[-1][0], max(end, apart.pop()[1])
        apart.append((start, end))
    return apart


def cut(spans: Sequence[Span], cuts: Cuts) -> list[Span]:
    """Join spans of speech into pieces: as many as fit, without a long silence. Spans that are too long are divided.

    Args:
        spans: Sorted, apart from each other.
        cuts: How long pieces may be.
    """
    pieces: list[Span] = []
    for start, end in spans:
        if pieces and start - pieces[-1][1] <= cuts.max_gap and end - pieces[-1][0] <= cuts.max_seconds:
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces += divide(start, end, cuts.max_seconds)
    return [(start, end) for start, end in pieces if end - start >= cuts.min_seconds]


def divide(start: float, end: float, max_seconds: float) -> list[Span]:
    """Equal parts, as few as can be, none longer than ``max_seconds``; borders in whole milliseconds."""
    parts = 1
    while True:
        borders = [round(start + (end - start) * i / parts, 3) for i in range(parts + 1)]
        if max(b - a for a, b in zip(borders, borders[1:])) <= max_seconds + 1e-9:
            return list(zip(borders, borders[1:]))
        parts += 1
