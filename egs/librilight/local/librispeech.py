"""LibriSpeech as published: <part>/<speaker>/<chapter>/, in it <utterance>.flac and <speaker>-<chapter>.trans.txt."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from soundstorm.data.data_dir import read_lines
from soundstorm.data.set_writer import SetWriter, Utterance
from soundstorm.scoring.statistics import LENGTHS, length_of

logger = logging.getLogger(__name__)
SAMPLE_RATE = 16000  # Hz
HELP = (
    "LibriSpeech is published as resource 12 of OpenSLR (https://www.openslr.org/12/). Unpack it and pass the folder "
    "that holds test-clean/: --librispeech <folder>"
)


def corpus_root(path: Path) -> Path:
    """The folder of the parts: the archives unpack to one called LibriSpeech."""
    return path / "LibriSpeech" if (path / "LibriSpeech").is_dir() else path


def speakers_of(root: Path, part: str) -> list[str]:
    """The speakers of one part, in the order of their utterances' names.

    Raises:
        FileNotFoundError: There is no such part.
    """
    folder = root / part
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. {HELP}")
    return sorted(_folders(folder), key=lambda name: f"{name}-")


def read_part(root: Path, part: str) -> Iterator[tuple[str, dict[str, Path], list[Utterance]]]:
    """Speakers of one part with their recordings and utterances, in the order of the utterances' names.

    Raises:
        FileNotFoundError: The part, a table of transcripts or a recording is missing.
        ValueError: A recording cannot be read or has another rate.
    """
    folder = root / part
    for speaker in speakers_of(root, part):
        recordings: dict[str, Path] = {}
        utterances = []
        for chapter in _folders(folder / speaker):
            table = folder / speaker / chapter / f"{speaker}-{chapter}.trans.txt"
            if not table.is_file():
                raise FileNotFoundError(f"{table}: missing; unpack {part} again")
            for name, words in read_lines(table):
                path = table.with_name(f"{name}.flac").absolute()
                recordings[name] = path
                utterances.append(Utterance(name, name, 0.0, _seconds(path), words.lower()))
        yield speaker, recordings, utterances


def _folders(path: Path) -> list[str]:
    return [entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")]


def _seconds(path: Path) -> float:
    import soundfile

    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing, but it has a transcript; unpack the part again")
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path}: cannot be read as audio ({error}); unpack the part again") from error
    if (info.samplerate, info.channels) != (SAMPLE_RATE, 1):
        raise ValueError(f"{path}: {info.samplerate} Hz, {info.channels} channels, expected {SAMPLE_RATE} Hz and 1")
    return info.duration


def write_test(directory: Path, root: Path, part: str, *, but: Container[str] = ()) -> set[str]:
    """The utterances that have a column in the paper's table. Returns all speakers of the part.

    Args:
        directory: The set to write.
        root: The corpus.
        part: Its part.
        but: Speakers to leave out.
    """
    counts, speakers = Counter(), set()
    with SetWriter(directory, segments=False, text=True) as writer:
        for speaker, recordings, utterances in read_part(root, part):
            if speaker in but:
                continue
            speakers.add(speaker)
            columns = {utterance: length_of(utterance.end) for utterance in utterances}
            counts.update(columns.values())
            kept = [utterance for utterance, column in columns.items() if column]
            writer.add(speaker, {u.name: recordings[u.name] for u in kept}, kept)
    if not writer.num_utterances:
        raise ValueError(f"{root / part}: no utterance of 4 to 30 s")
    columns = ", ".join(f"{start:g} to {end:g} s {counts[name]}" for name, start, end in LENGTHS)
    logger.info("%s by length: %s; %d shorter or longer ones are left out", directory, columns, counts[None])
    return speakers


def write_transcribed(
    directory: Path, root: Path, parts: Sequence[str], *, only: Container[str] | None = None
) -> set[str]:
    """Parts of LibriSpeech as one set. Returns its speakers.

    Args:
        directory: The set to write.
        root: The corpus.
        parts: Its parts.
        only: The speakers to write; all of them where it is None.
    """
    merged: dict[str, tuple[dict[str, Path], list[Utterance]]] = {}
    for part in parts:
        for speaker, recordings, utterances in read_part(root, part):
            if only is None or speaker in only:
                known = merged.setdefault(speaker, ({}, []))
                known[0].update(recordings)
                known[1].extend(utterances)
    with SetWriter(directory, segments=False, text=True) as writer:
        for speaker in sorted(merged, key=lambda name: f"{name}-"):
            writer.add(speaker, *merged[speaker])
    return set(merged)
