"""LibriSpeech as published: <part>/<speaker>/<chapter>/, in it <utterance>.flac and <speaker>-<chapter>.trans.txt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from soundstorm.data.data_dir import read_lines
from soundstorm.data.set_writer import Utterance

SAMPLE_RATE = 16000  # Hz
HELP = (
    "LibriSpeech is published as resource 12 of OpenSLR (https://www.openslr.org/12/). Unpack it and pass the folder "
    "that holds test-clean/: --librispeech <folder>"
)


def corpus_root(path: Path) -> Path:
    """The folder of the parts: the archives unpack to one called LibriSpeech."""
    return path / "LibriSpeech" if (path / "LibriSpeech").is_dir() else path


def read_part(root: Path, part: str) -> Iterator[tuple[str, dict[str, Path], list[Utterance]]]:
    """Speakers of one part with their recordings and utterances, in the order of the utterances' names.

    Raises:
        FileNotFoundError: The part, a table of transcripts or a recording is missing.
        ValueError: A recording cannot be read or has another rate.
    """
    folder = root / part
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder. {HELP}")
    for speaker in sorted(_folders(folder), key=lambda name: f"{name}-"):
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
