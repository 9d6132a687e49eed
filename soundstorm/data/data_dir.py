"""The data directory: its files, how they are read and how they are written.

One directory per set, in Kaldi's format: text files, UTF-8, one record a line, the key first, sorted by key
in the C locale, keys unique. This is the only list of the known files; checking is in `data_dir_check.py`,
editing in `data_dir_edit.py`, and the scripts of `utils/` call those. Standard library only: they start fast.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar, Union

from soundstorm.data.errors import InputError

PathLike = Union[str, "os.PathLike[str]"]
Table = dict[str, str]  # key -> the rest of its line
Value = TypeVar("Value")

UTTERANCE, RECORDING, SPEAKER = "utterance", "recording", "speaker"

ID_PATTERN = re.compile(r"[A-Za-z0-9._+-]+")
MOST_SECONDS = 1e9  # of anything: about thirty years
SPEAKER_FIRST = "begin every utterance with its speaker and '-', and write '_' for '-' and '+' in names of speakers"
MOST_SHOWN = 10  # of many lines for people
BYTE_ORDER_MARK = "\ufeff"  # which editors of Windows put before the first line
HERE_OR_THERE = "here or in the file that local/data.sh made it from"


@dataclass(frozen=True)
class KnownFile:
    """What the tools need to know about one file of a data directory.

    Attributes:
        name: File name.
        key: What its first field names: UTTERANCE, RECORDING or SPEAKER. Without `segments`, every utterance
            is its own recording.
        restricts: Whether fixing a directory removes the utterances (speakers, recordings) this file lacks.
        whole: Whether it must have all of them; those that no tokens could be made of have none.
        repeated: Whether a key may have several lines; its value in a `Table` has them joined by newlines.
        sidecar: A file that describes the whole table (the tokenizer's identity) and travels with it.
    """

    name: str
    key: str
    restricts: bool = False
    whole: bool = True
    repeated: bool = False
    sidecar: str = ""


KNOWN_FILES = (
    KnownFile("utt2spk", UTTERANCE, restricts=True),
    KnownFile("spk2utt", SPEAKER),
    KnownFile("text", UTTERANCE, restricts=True),
    KnownFile("segments", UTTERANCE, restricts=True),
    KnownFile("wav.scp", RECORDING, restricts=True),
    KnownFile("feats.scp", UTTERANCE, restricts=True),
    KnownFile("semantic.scp", UTTERANCE, restricts=True, whole=False, sidecar="semantic.json"),
    KnownFile("acoustic.scp", UTTERANCE, restricts=True, whole=False, sidecar="acoustic.json"),
    KnownFile("utt2dur", UTTERANCE, restricts=True),
    KnownFile("utt2num_frames", UTTERANCE, restricts=True, whole=False),
    KnownFile("utt2num_acoustic_frames", UTTERANCE, restricts=True, whole=False),
    KnownFile("utt2lang", UTTERANCE, restricts=True),
    KnownFile("utt2uniq", UTTERANCE),
    KnownFile("utt2warp", UTTERANCE),
    KnownFile("vad.scp", UTTERANCE),
    KnownFile("phones.ctm", UTTERANCE, repeated=True),
    KnownFile("spk2gender", SPEAKER, restricts=True),
    KnownFile("cmvn.scp", SPEAKER, restricts=True),
    KnownFile("spk2warp", SPEAKER),
    KnownFile("reco2dur", RECORDING),
    KnownFile("reco2peak", RECORDING),
    KnownFile("utt2rate", UTTERANCE),
    KnownFile("reco2file_and_channel", RECORDING),
)
FRAME_TABLES = {"semantic": "utt2num_frames", "acoustic": "utt2num_acoustic_frames"}  # of <kind>.scp
KNOWN = {known.name: known for known in KNOWN_FILES}


class Segment(NamedTuple):
    """A stretch of a recording, in seconds."""

    recording: str
    start: float
    end: float | None  # None: that of the recording


def read_lines(path: PathLike, repairs: list[str] | None = None) -> list[tuple[str, str]]:
    """Read a file as (key, rest of the line) pairs, in the file's order, with keys repeated as they are.

    Args:
        path: A text file of a data directory. Fields are separated by blanks and tabs only: other Unicode
            white space belongs to the words of a transcript.
        repairs: Remove byte order marks, and say so here.

    Returns:
        One pair for each line; the rest is stripped, and empty where the line is only a key.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not UTF-8, or a line is empty, starts with white space, has a byte order mark, or ends
            as in Windows; or a line of `utt2spk` has more than two fields.
    """
    return list(iterate_lines(path, repairs))


def iterate_lines(path: PathLike, repairs: list[str] | None = None) -> Iterator[tuple[str, str]]:
    """Read a file as `read_lines` does, one line at a time."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file {path}") from None
    is_utt2spk = Path(path).name == "utt2spk"
    with file:
        for number, data in enumerate(file, start=1):
            try:
                line = data.decode("utf-8").removesuffix("\n")
            except UnicodeDecodeError:
                raise InputError(f"{not_utf8(path, f', line {number}')}; {HERE_OR_THERE}") from None
            if BYTE_ORDER_MARK in line:  # it would become a part of the key, or of a path
                if repairs is None:
                    raise InputError(
                        f"{path}, line {number}: has a byte order mark (U+FEFF), which nobody sees; remove it, "
                        f"{HERE_OR_THERE}, with sed -i 's/\\xEF\\xBB\\xBF//g' {path}"
                    )
                repairs.append(f"{path}, line {number}: a byte order mark was removed")
                line = line.replace(BYTE_ORDER_MARK, "")
            if line.endswith("\r"):
                raise InputError(
                    f"{path}, line {number}: Windows line end; remove them, {HERE_OR_THERE}, with "
                    f"sed -i 's/\\r$//' {path}"
                )
            key = line.replace("\t", " ").partition(" ")[0]
            if not key:
                raise InputError(
                    f"{path}, line {number}: expected a key and its value, got {line!r}; "
                    "remove empty lines and leading white space"
                )
            value = line[len(key) :].strip(" \t")
            if is_utt2spk and len(value.split()) > 1:  # of a blank in a name all that follows would speak in riddles
                raise InputError(
                    f"{path}, line {number}: expected two fields, <utterance> <speaker>, got {line!r:.80}; "
                    "names have no blanks: write _ for them, in every table"
                )
            yield key, value


def not_utf8(path: PathLike, where: str = "") -> str:
    """What to say of a text in another encoding."""
    return (
        f"{path}{where}: not UTF-8; convert it, e.g. with iconv -f UTF-16 -t UTF-8 {path}, or -f WINDOWS-1252, "
        "whatever it is in"
    )


def sorted_lines(path: PathLike) -> Iterator[tuple[str, str]]:
    """Read a file as `iterate_lines` does, sorted by key; only one that is not in order is held in memory.

    Raises:
        ValueError: a key is there twice.
    """
    last = ""
    for key, _ in iterate_lines(path):
        if key <= last:
            return iter(sorted(read_table(path).items()))  # or it says where the key is again
        last = key
    return iterate_lines(path)


def in_step(
    one: Iterable[tuple[str, Value]], other: Iterable[tuple[str, Value]]
) -> Iterator[tuple[str, Value | None, Value | None]]:
    """Two sorted tables side by side, held in memory nowhere: a key, and its value in each or None."""
    one, other = iter(one), iter(other)
    left, right = next(one, None), next(other, None)
    while left or right:
        if right is None or left is not None and left[0] < right[0]:
            yield *left, None
            left = next(one, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(other, None)
        else:
            yield *left, right[1]
            left, right = next(one, None), next(other, None)


def read_table(path: PathLike, keys: Collection[str] | None = None) -> Table:
    """Read a two-column file such as `wav.scp` or `text`: the first field is the key, the rest is the value.

    Args:
        path: A text file of a data directory.
        keys: Read the lines of these only; the others take no memory.

    Returns:
        Key to rest of the line, in the file's order. Lines of a repeated key of a file that may have such
        (`phones.ctm`) are joined by newlines.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A key is repeated, or the file is malformed (see `read_lines`).
    """
    return to_table(path, iterate_lines(path), keys)


def to_table(path: PathLike, lines: Iterable[tuple[str, str]], keys: Collection[str] | None = None) -> Table:
    """Make a table of lines already read.

    Args:
        path: Where they are from: its name tells whether keys may be repeated.
        lines: What `read_lines` gave.
        keys: Leave out the lines of others.

    Returns:
        See `read_table`.

    Raises:
        ValueError: A key is repeated that may not be.
    """
    known = KNOWN.get(Path(path).name)
    wanted = None if keys is None else frozenset(keys)
    table: Table = {}
    for number, (key, value) in enumerate(lines, start=1):
        if wanted is not None and key not in wanted:
            continue
        if key not in table:
            table[key] = value
        elif known is not None and known.repeated:
            table[key] += "\n" + value
        else:
            raise InputError(
                f"{path}, line {number}: key {key!r} is there a second time; keys must be unique "
                f"(utils/fix_data_dir.sh drops repeated lines)"
            )
    return table


def format_table(path: PathLike, table: Table) -> str:
    """Make the content of a file of a table, sorted by key.

    Args:
        path: Where it goes, for the message.
        table: Key to value; newlines in a value separate the lines of one key (`phones.ctm`).

    Returns:
        The content.

    Raises:
        ValueError: A key is empty or has white space in it.
    """
    lines = []
    for key in sorted(table):  # by code point, which for UTF-8 is the order of the C locale
        if not key or any(letter.isspace() for letter in key):
            raise InputError(f"{path}: key {key!r} is empty or has white space in it; it must be one word")
        lines += [f"{key} {value}".rstrip(" ") + "\n" for value in str(table[key]).split("\n")]
    return "".join(lines)


def write_table(path: PathLike, table: Table) -> None:
    """Write a table sorted by key, whole or not at all: under a temporary name, then renamed.

    Args:
        path: The file to write.
        table: Key to value; see `format_table`.

    Raises:
        ValueError: A key is empty or has white space in it.
    """
    write_text(path, format_table(path, table))


def write_lines(path: PathLike, lines: Iterable[tuple[str, str]]) -> None:
    """Write keys and values in the order they come, whole or not at all, and hold none of them in memory."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{key} {value}\n" for key, value in lines)


def write_text(path: PathLike, content: str) -> None:
    """Write a text file whole or not at all: under a temporary name in the same folder, then renamed.

    Args:
        path: The file to write.
        content: Its content, written as UTF-8.
    """
    write_bytes(path, content.encode("utf-8"))


def write_bytes(path: PathLike, content: bytes) -> None:
    """Write a file whole or not at all: under a temporary name in the same folder, then renamed."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def whole_file(path: PathLike) -> Iterator[Path]:
    """Where to write a file that should be there whole or not at all; it gets its name when all has gone well.

    The temporary name is the same in every run, so that what a killed one left is written over by the next, but
    differs between the processes of a distributed training, all of which may describe their experiment.

    Args:
        path: The file.

    Yields:
        A hidden name in the same folder.
    """
    path, rank = Path(path), os.environ.get("RANK", "")
    temporary = path.with_name(f".{path.name}{rank}.tmp")
    try:
        with naming(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: PathLike) -> Iterator[None]:
    """Make errors of writing a file name it: a full disk's own message says not even that it is about a file."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:  # about a file that is read meanwhile
            raise
        message = f"{path}: cannot be written ({error.strerror or error})"
        raise (OSError(message) if error.errno is None else OSError(error.errno, message)) from error


def first_of(lines: Sequence[str], where: str = "") -> list[str]:
    """The first of many lines for people, and how many more there are; `where` says of these where they are."""
    more = len(lines) - MOST_SHOWN
    return [*lines[:MOST_SHOWN], *([f"... and {more} more{where}"] if more > 0 else [])]


def write_log(path: PathLike, lines: Iterable[str]) -> None:
    """Write lines for people, of which only the first are shown, where all can be read."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{line}\n" for line in lines))


def looked_for(path: PathLike) -> str:
    """For messages that a file is missing: where a relative path was looked for, and nothing for another one."""
    if os.path.isabs(path):
        return ""
    return f" in {os.getcwd()}: its path is relative, run this from the recipe's directory"


def check_ids(ids: Iterable[str], where: PathLike) -> None:
    """Refuse ids that cannot be the names of files.

    Args:
        ids: Utterances, recordings or speakers.
        where: The file they are from, for the message.

    Raises:
        ValueError: One has characters other than those of `ID_PATTERN`.
    """
    for name in ids:
        if not ID_PATTERN.fullmatch(name):
            raise InputError(
                f"{where}: id {name!r:.80} has other characters than A-Z a-z 0-9 . _ + -; rename it in local/data.sh"
            )


def parse_segment(value: str) -> Segment:
    """Read the value of a line of `segments`.

    Args:
        value: `<recording> <start> <end>`, in seconds; an end of -1 is that of the recording, as in Kaldi.

    Returns:
        The segment.

    Raises:
        ValueError: There are not three fields, or the times are not numbers with 0 <= start < end.
    """
    fields = value.split()
    if len(fields) != 3:
        raise InputError(f"expected <utterance> <recording> <start> <end>, got {len(fields) + 1} fields")
    start, end = parse_seconds(fields[1]), parse_seconds(fields[2])
    if end == -1 and start >= 0:
        return Segment(fields[0], start, None)
    if not 0 <= start < end:
        raise InputError(
            f"expected 0 <= start < end, or -1 for the end of the recording, got start {fields[1]} "
            f"and end {fields[2]}"
        )
    return Segment(fields[0], start, end)


def parse_seconds(word: str) -> float:
    """Read a finite decimal number; stricter than `float`, which takes `1_0`, `nan` and `inf`.

    Args:
        word: The number as written.

    Returns:
        Its value.

    Raises:
        ValueError: It is not a number.
    """
    if not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", word):
        raise InputError(f"expected a number of seconds, got {word!r:.80}")
    if abs(float(word)) > MOST_SECONDS:
        raise InputError(f"expected at most {MOST_SECONDS:g} s, got {word:.80}")
    return float(word)


def read_segments(path: PathLike, keys: Collection[str] | None = None) -> dict[str, Segment]:
    """Read a `segments` file.

    Args:
        path: The file.
        keys: Read these utterances only.

    Returns:
        Utterance to its stretch of a recording.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is malformed; the message names the file and the utterance.
    """
    segments = {}
    for utterance, value in read_table(path, keys).items():
        try:
            segments[utterance] = parse_segment(value)
        except ValueError as error:
            raise InputError(f"{path}, utterance {utterance}: {error}") from None
    return segments


def invert(utt2spk: Table) -> Table:
    """Make `spk2utt` of `utt2spk`.

    Args:
        utt2spk: Utterance to speaker.

    Returns:
        Speaker to its utterances joined by blanks; both in order of first appearance.
    """
    utterances: dict[str, list[str]] = {}
    for utterance, speaker in utt2spk.items():
        utterances.setdefault(speaker, []).append(utterance)
    return {speaker: " ".join(names) for speaker, names in utterances.items()}


class DataDir:
    """A data directory on disk: read what is there, when it is asked for.

    Args:
        path: The directory.

    Raises:
        FileNotFoundError: There is no such directory.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"no such directory {path}{looked_for(path)}; stage 0 makes the data directories")

    def has(self, name: str) -> bool:
        """Whether the directory has a file of this name."""
        return (self.path / name).is_file()

    def table(self, name: str) -> Table:
        """Read one file; see `read_table`."""
        return read_table(self.path / name)

    @property
    def ids(self) -> list[str]:
        """The utterances, sorted."""
        return sorted(self.table("utt2spk"))

    @property
    def key_file(self) -> Path:
        """The file with one line for each utterance that array jobs split: `segments`, or else `wav.scp`."""
        return self.path / ("segments" if self.has("segments") else "wav.scp")

    def key_table(self) -> Table:
        """Read the key file: its keys are all utterances."""
        return read_table(self.key_file)

    def segments(self) -> dict[str, Segment]:
        """Utterance to stretch of a recording; empty where there is no `segments`."""
        return read_segments(self.path / "segments") if self.has("segments") else {}

    def durations(self) -> dict[str, float] | None:
        """Utterance to seconds, from `utt2dur` or else `segments`; None where neither tells."""
        if self.has("utt2dur"):
            return {utterance: parse_seconds(value) for utterance, value in self.table("utt2dur").items()}
        segments = self.segments()
        if not segments or any(segment.end is None for segment in segments.values()):
            return None
        return {utterance: segment.end - segment.start for utterance, segment in segments.items()}
