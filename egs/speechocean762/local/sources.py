"""What there is to make sets of: utterances of the published corpus and of Kaldi data directories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from soundstorm.data.data_dir import read_segments, read_table
from soundstorm.data.data_dir_values import FORMAT_TOOL, IN_ARCHIVE, is_command

CORPUS_HELP = (
    "speechocean762 is published as resource 101 of OpenSLR (https://www.openslr.org/101/). Unpack it and pass the "
    'folder that holds WAVE/, train/ and test/: ./run.sh --local-data-opts "--corpus <folder>"'
)
# How the folders of a folder of data directories say what they are for.
SPLIT_PREFIXES = {"dev": "dev", "valid": "dev", "test": "test", "eval": "test"}


@dataclass(frozen=True)
class Utterance:
    """One utterance of a source.

    Attributes:
        name: Its name here, which begins with the speaker's.
        names: Its name here and in the source: either may stand in a list.
        speaker: Who speaks.
        recording: Name of the recording it lies in; the utterance's own where that is a file of its own.
        path: The recording.
        start, end: Where it lies in the recording, in seconds; None where it is the whole.
        text: What is said; None if nobody wrote it down.
        gender: m, f, or None where that is not known.
        split: train, dev or test; None if the source does not say.
        source: The data directory, for messages.
    """

    name: str
    names: frozenset[str]
    speaker: str
    recording: str
    path: Path
    start: float | None
    end: float | None
    text: str | None
    gender: str | None
    split: str | None
    source: Path


def read_corpus(root: Path) -> Iterator[Utterance]:
    """The corpus as published: two data directories, whose transcripts are in capitals.

    Its speakers are plain numbers, which those of other corpora are too, so they get a prefix.
    """
    inside = root / "speechocean762"
    root = inside if inside.is_dir() else root
    for name in ("train", "test"):
        if not (root / name / "wav.scp").is_file():
            raise FileNotFoundError(f"--corpus {root}: {name}/wav.scp is missing. {CORPUS_HELP}")
    for name in ("train", "test"):
        yield from read_data_dir(root / name, split=name, speaker_prefix="so", lowercase=True)


def read_extra(directory: Path) -> Iterator[Utterance]:
    """A Kaldi data directory, or a folder of such; in the latter those named dev... and test... are what they say."""
    if (directory / "wav.scp").is_file():
        yield from read_data_dir(directory)
        return
    inner = sorted(path.parent for path in directory.glob("*/wav.scp"))
    if not inner:
        raise FileNotFoundError(
            f"--extra-data {directory}: neither it nor a folder in it has a wav.scp; pass a Kaldi data directory "
            "(wav.scp, utt2spk, and text where there are transcripts) or a folder of such"
        )
    for path in inner:
        splits = [split for prefix, split in SPLIT_PREFIXES.items() if path.name.startswith(prefix)]
        yield from read_data_dir(path, split=splits[0] if splits else "train")


def read_data_dir(
    directory: Path, *, split: str | None = None, speaker_prefix: str = "", lowercase: bool = False
) -> Iterator[Utterance]:
    """The utterances of one Kaldi data directory.

    Args:
        directory: Holds wav.scp and utt2spk, and may hold text, segments and spk2gender. Paths are absolute, or
            relative to the directory, to the folder it lies in, or to the recipe.
        split: What its utterances are for, if that is known.
        speaker_prefix: Goes before every speaker.
        lowercase: Write transcripts in small letters.

    Raises:
        FileNotFoundError: wav.scp, utt2spk or a recording is missing.
        ValueError: wav.scp has commands, or the files name different utterances.
    """
    recordings = {name: _find(directory, name, path) for name, path in read_table(directory / "wav.scp").items()}
    speakers = read_table(directory / "utt2spk")
    text = _optional(directory / "text")
    genders = _optional(directory / "spk2gender")
    has_segments = (directory / "segments").is_file()
    segments = read_segments(directory / "segments") if has_segments else {}
    places = segments or {name: (name, None, None) for name in recordings}
    if unknown := sorted(set(places) - set(speakers)):
        raise ValueError(f"{directory}/utt2spk: no speaker of {unknown[0]} (and {len(unknown) - 1} more utterances)")
    for original, (recording, start, end) in sorted(places.items()):
        if recording not in recordings:
            raise ValueError(f"{directory}/segments: {original} lies in {recording}, which wav.scp does not have")
        speaker = speaker_prefix + speakers[original]
        # Sorted by utterance is then sorted by speaker, which all tools rely on.
        ready = original == speaker or original.startswith(f"{speaker}-")
        name = original if ready else f"{speaker}-{original}"
        words = text.get(original) or None
        yield Utterance(
            name=name,
            names=frozenset({name, original}),
            speaker=speaker,
            recording=recording if has_segments else name,
            path=recordings[recording],
            start=start,
            end=end,
            text=words.lower() if words and lowercase else words,
            gender=genders.get(speakers[original]),
            split=split,
            source=directory,
        )


def _optional(path: Path) -> dict[str, str]:
    return read_table(path) if path.is_file() else {}


def _find(directory: Path, name: str, path: str) -> Path:
    """The file that a line of wav.scp means."""
    if is_command(path) or IN_ARCHIVE.fullmatch(path) and not Path(path).is_file():
        kind, option = ("a command", "--allow-pipes true ") if is_command(path) else ("a place in an archive", "")
        raise ValueError(
            f"{directory}/wav.scp: {name} is {kind} ({path}); write the audio to files by {FORMAT_TOOL} "
            f"{option}{directory} <new directory>, and pass that"
        )
    # An absolute path is itself in all; the tools of utils/ write paths that are relative to here.
    candidates = [directory / path, directory.parent / path, Path(path)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    tried = " and ".join(dict.fromkeys(str(candidate) for candidate in candidates))
    raise FileNotFoundError(f"{directory}/wav.scp: {name}: no such recording; looked for {tried}")
