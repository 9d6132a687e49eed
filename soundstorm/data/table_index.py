"""Tables of millions of lines in little memory: keys as one array of bytes, values as arrays of numbers.

A dictionary of Python strings takes some 300 bytes a line; 7 million utterances (60 000 hours) would be 2 GB
for each table. Here a line is its key and 8 to 12 bytes. Files are read in pieces, all lines of one at once;
one with lines of another form than the usual is read as any other table, with the messages that gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundstorm.data.data_dir import MOST_SECONDS, parse_seconds, read_segments, read_table
from soundstorm.data.errors import InputError

PIECE_BYTES = 1 << 23
NEWLINE, BLANK, COLON, ZERO = (np.uint8(ord(letter)) for letter in "\n :0")
# The last one fills up shorter words.
IN_DECIMALS = np.isin(np.arange(256), np.frombuffer(b"0123456789.\0", np.uint8))
MOST_DIGITS = 18  # of a whole number that fits into 64 bits for certain
MISSING = -1


class Keys(Sequence):
    """The keys of a table in the file's order, and where each stands."""

    def __init__(self, names: np.ndarray, where: str | Path):
        """
        Args:
            names: UTF-8 bytes, ``(number of lines,)`` of a type ``S``.
            where: the file, for messages.

        Raises:
            ValueError: a key is there twice.
        """
        self.names = names
        self._order: np.ndarray | None = None
        if not (names[:-1] < names[1:]).all():
            self._order = np.argsort(names, kind="stable")
            ordered = names[self._order]
            again = np.flatnonzero(ordered[:-1] == ordered[1:])
            if len(again):
                line = int(self._order[again + 1].min())
                raise InputError(
                    f"{where}, line {line + 1}: key {self[line]!r} is there a second time; keys must "
                    f"be unique "
                    "(utils/fix_data_dir.sh drops repeated lines)"
                )

    @classmethod
    def of(cls, names: Iterable[str], where: str | Path) -> Keys:
        """Keys of names, or the same keys again."""
        if isinstance(names, Keys):
            return names
        names = list(names)
        for name in names:
            if "\0" in name:
                raise InputError(f"{where}: key {name!r:.80} has a character 0; rename it in local/data.sh")
        return cls(np.array([name.encode() for name in names], dtype=None if names else "S1"), where)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row):
        """The key of a row, or a list of keys for a slice."""
        if isinstance(row, slice):
            return [name.decode() for name in self.names[row].tolist()]
        return bytes(self.names[row]).decode()

    def __iter__(self) -> Iterator[str]:
        for name in self.names:
            yield bytes(name).decode()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.row(key) != MISSING

    def at(self, rows: np.ndarray) -> Keys:
        """The keys of some rows, each at most once, in as little memory; or where a mask is true."""
        return Keys(self.names[rows], "rows asked for")

    def row(self, key: str) -> int:
        """Where a key stands, or ``MISSING``."""
        name = key.encode()
        # A longer needle would make numpy copy the whole array into a wider one.
        if not name or len(name) > self.names.itemsize or name.endswith(b"\0"):
            return MISSING
        return int(self.rows(np.array([name]))[0])

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """Where each of many keys stands, or ``MISSING``; int64 of the shape of ``wanted``."""
        if not len(self.names):
            return np.full(len(wanted), MISSING)
        if np.array_equal(wanted, self.names):
            return np.arange(len(wanted))
        place = np.searchsorted(self.names, wanted, sorter=self._order)
        place[place == len(self.names)] = 0
        rows = place if self._order is None else self._order[place]
        return np.where(self.names[rows] == wanted, rows, MISSING)


class Places(NamedTuple):
    """An scp file: ``<key> <archive>:<offset>``."""

    keys: Keys
    archives: list[str]  # each path once; a whole value where that is not of the form above
    archive: np.ndarray  # int32 (number of lines,), into ``archives``
    offset: np.ndarray  # int64 (number of lines,); ``MISSING`` where the value is not of the form above


def read_places(path: str | Path) -> Places:
    """Read an scp file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, or has a key twice; see ``data_dir.read_table``.
    """
    archives = _Names()

    def columns(lines: _Lines, _: int) -> tuple[np.ndarray, ...] | None:
        places = lines.places()
        return None if places is None else (archives.add(places[0]), places[1])

    found = _read_columns(path, columns, np.int32, np.int64)
    if found is None:
        return _odd_places(path)
    keys, archive, offset = found
    return Places(keys, archives.names(), archive, offset)


class _Names:
    """Words of which mostly many in a row are the same: each once, and its number for every line."""

    def __init__(self):
        self._numbers: dict[bytes, int] = {}

    def add(self, words: np.ndarray) -> np.ndarray:
        """Numbers int32 of at least one word."""
        first = np.flatnonzero(np.append(True, words[1:] != words[:-1]))
        runs = [self._numbers.setdefault(name, len(self._numbers)) for name in words[first].tolist()]
        return np.repeat(np.array(runs, dtype=np.int32), np.diff(np.append(first, len(words))))

    def names(self) -> list[str]:
        return [name.decode() for name in self._numbers]


class Stretches(NamedTuple):
    """A ``segments`` file: every utterance is a stretch of a recording."""

    keys: Keys
    recordings: list[str]  # each once
    recording: np.ndarray  # int32 (number of lines,), into ``recordings``
    start: np.ndarray  # float64 (number of lines,), seconds
    end: np.ndarray  # not a number where it is that of the recording


def read_stretches(path: str | Path) -> Stretches:
    """Read a ``segments`` file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, or has a key twice; see ``data_dir.read_segments``.
    """
    recordings = _Names()

    def columns(lines: _Lines, _: int) -> tuple[np.ndarray, ...] | None:
        stretches = lines.stretches()
        return None if stretches is None else (recordings.add(stretches[0]), *stretches[1:])

    found = _read_columns(path, columns, np.int32, np.float64, np.float64)
    if found is None:
        return _odd_stretches(path)
    keys, recording, start, end = found
    return Stretches(keys, recordings.names(), recording, start, end)


def read_values(path: str | Path) -> tuple[Keys, np.ndarray]:
    """Read any table: keys, and the rest of each line as UTF-8 bytes ``(number of lines,)``, of a type
    ``S``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, or has a key twice; see ``data_dir.read_table``.
    """
    found = _read_columns(path, lambda lines, _: (_words(lines.data, lines.space + 1, lines.end),), "S1")
    if found is None:
        table = read_table(path)
        values = np.array([value.encode() for value in table.values()] or [b""])[: len(table)]
        return Keys.of(table, path), values
    return found


class Lines:
    """Any table whose values, such as transcripts, are read from the file when they are asked for."""

    def __init__(self, path: str | Path):
        """
        Raises:
            FileNotFoundError: there is none.
            ValueError: it is malformed, or has a key twice; see ``data_dir.read_table``.
        """
        self.path = path
        self._values: list[str] | None = None  # where lines are not of the usual form
        found = _read_columns(
            path, lambda lines, place: (place + lines.space + 1, place + lines.end), np.int64, np.int64
        )
        if found is None:
            table = read_table(path)
            self.keys, self._values = Keys.of(table, path), list(table.values())
        else:
            self.keys, self._starts, self._ends = found

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> str:
        """The value in a row."""
        if self._values is not None:
            return self._values[row]
        with open(self.path, "rb") as stream:
            stream.seek(self._starts[row])
            return stream.read(int(self._ends[row] - self._starts[row])).decode()


def read_seconds(path: str | Path) -> tuple[Keys, np.ndarray]:
    """Read a table of durations such as ``utt2dur``: keys, and float64 values ``(number of lines,)``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, has a key twice, or a value that is no number.
    """
    found = _read_columns(
        path, lambda lines, _: _one(_decimals(lines.data, lines.space + 1, lines.end)), np.float64
    )
    return _odd_seconds(path) if found is None else found


def read_numbers(path: str | Path) -> tuple[Keys, np.ndarray]:
    """Read a table of whole numbers such as ``utt2num_frames``: keys, and int64 values
    ``(number of lines,)``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, has a key twice, or a value that is no whole number.
    """
    found = _read_columns(
        path, lambda lines, _: _one(_whole_numbers(lines.data, lines.space + 1, lines.end)), np.int64
    )
    return _odd_numbers(path) if found is None else found


def _one(column: np.ndarray | None) -> tuple[np.ndarray] | None:
    return None if column is None else (column,)


def _read_columns(
    path: str | Path, columns: Callable[[_Lines, int], tuple[np.ndarray, ...] | None], *types
) -> tuple | None:
    """Keys and columns of all lines, read piece by piece; None where a line is not of the form asked for.

    Args:
        path: the file.
        columns: of the lines of a piece that begins at that byte of the file; None where a line has another
            form.
        types: of the columns.
    """
    names, parts, place = [np.zeros(0, "S1")], [[np.zeros(0, kind)] for kind in types], 0
    for piece in _pieces(path):
        lines = _Lines.split(piece)
        found = None if lines is None else columns(lines, place)
        if found is None:
            return None
        names.append(lines.keys())
        for part, column in zip(parts, found, strict=True):
            part.append(column)
        place += len(piece)
    return Keys(np.concatenate(names), path), *map(np.concatenate, parts)


def _pieces(path: str | Path) -> Iterator[bytes]:
    """The file in pieces of whole lines, each ending with a newline."""
    rest = b""
    try:
        stream = open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file {path}") from None
    with stream:
        while piece := stream.read(PIECE_BYTES):
            piece = rest + piece
            cut = piece.rfind(b"\n") + 1
            piece, rest = piece[:cut], piece[cut:]
            if piece:
                yield piece
    if rest:
        yield rest + b"\n"


class _Lines(NamedTuple):
    """Lines of a key, one blank, and a value without blanks around it. Places are bytes of ``data``."""

    data: np.ndarray  # uint8
    start: np.ndarray  # of each line
    space: np.ndarray  # the blank after its key
    end: np.ndarray  # its newline

    @classmethod
    def split(cls, piece: bytes) -> _Lines | None:
        """None where a line is not of the usual form."""
        if any(odd in piece for odd in (b"\r", b"\t", b"\0", b"\xef\xbb\xbf")):
            return None
        try:
            piece.isascii() or piece.decode()
        except UnicodeDecodeError:
            return None
        data = np.frombuffer(piece, dtype=np.uint8)
        end = np.flatnonzero(data == NEWLINE)
        start = np.append(0, end[:-1] + 1)
        spaces = np.append(np.flatnonzero(data == BLANK), len(data))
        space = spaces[np.searchsorted(spaces, start)]
        if (space <= start).any() or (space + 1 >= end).any():
            return None
        if (data[space + 1] == BLANK).any() or (data[end - 1] == BLANK).any():
            return None
        return cls(data, start, space, end)

    def keys(self) -> np.ndarray:
        """Keys as bytes, ``(number of lines,)``."""
        return _words(self.data, self.start, self.space)

    def places(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Paths and offsets of values ``<path>:<offset>``; None where one is not of that form."""
        colons = np.append(0, np.flatnonzero(self.data == COLON))
        colon = colons[np.searchsorted(colons, self.end) - 1]
        if (colon <= self.space + 1).any():
            return None
        offsets = _whole_numbers(self.data, colon + 1, self.end)
        return None if offsets is None else (_words(self.data, self.space + 1, colon), offsets)

    def stretches(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Recordings, starts and ends of ``<recording> <start> <end>``; None where one has another form."""
        blanks = np.flatnonzero(self.data == BLANK)
        first = np.searchsorted(blanks, self.space)
        if (np.searchsorted(blanks, self.end) - first != 3).any():
            return None
        second, third = blanks[first + 1], blanks[first + 2]
        start, end = _decimals(self.data, second + 1, third), _decimals(self.data, third + 1, self.end)
        if start is None or end is None or (start >= end).any():
            return None
        return _words(self.data, self.space + 1, second), start, end


def _words(data: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Stretches of bytes as an array of a type ``S``."""
    length = end - start
    width = int(length.max())
    padded = np.append(data, np.zeros(width, np.uint8))
    rows = np.lib.stride_tricks.sliding_window_view(padded, width)[start]
    rows[np.arange(width) >= length[:, None]] = 0
    return rows.view(f"S{width}")[:, 0]


def _whole_numbers(data: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Decimal digits as int64; None where there are others, none, or too many."""
    length = end - start
    if length.min() < 1 or length.max() > MOST_DIGITS:
        return None
    values = np.zeros(len(start), dtype=np.int64)
    for place in range(int(length.max())):
        inside = place < length
        digits = data[np.where(inside, start + place, start)] - ZERO  # wraps around below
        if (digits > 9).any():
            return None
        values = np.where(inside, values * 10 + digits, values)
    return values


def _decimals(data: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Seconds such as 12 or 1.5 as float64; None where they are written otherwise, or too many."""
    length = end - start
    if length.min() < 1 or length.max() > MOST_DIGITS:
        return None
    words = _words(data, start, end)
    if not IN_DECIMALS[words.view(np.uint8)].all():
        return None
    try:
        values = words.astype(np.float64)
    except ValueError:  # a lone or a second point
        return None
    return None if (values > MOST_SECONDS).any() else values


def _odd_stretches(path: str | Path) -> Stretches:
    segments = read_segments(path)
    codes: dict[str, int] = {}
    recording = [codes.setdefault(segment.recording, len(codes)) for segment in segments.values()]
    start, end = (np.array([segment[side] for segment in segments.values()], dtype=float) for side in (1, 2))
    return Stretches(Keys.of(segments, path), list(codes), np.array(recording, dtype=np.int32), start, end)


def _odd_seconds(path: str | Path) -> tuple[Keys, np.ndarray]:
    table, values = read_table(path), []
    for key, value in table.items():
        try:
            values.append(parse_seconds(value))
        except ValueError as error:
            raise InputError(f"{path}: {key}: {error}; make the table again") from error
    return Keys.of(table, path), np.array(values)


def _odd_places(path: str | Path) -> Places:
    table = read_table(path)
    codes: dict[str, int] = {}
    archive, offset = np.zeros(len(table), np.int32), np.full(len(table), MISSING, np.int64)
    for row, value in enumerate(table.values()):
        name, colon, number = value.rpartition(":")
        if colon and re.fullmatch("[0-9]{1,18}", number):
            value, offset[row] = name, int(number)
        archive[row] = codes.setdefault(value, len(codes))
    return Places(Keys.of(table, path), list(codes), archive, offset)


def _odd_numbers(path: str | Path) -> tuple[Keys, np.ndarray]:
    table = read_table(path)
    for key, value in table.items():
        if not re.fullmatch("[0-9]{1,18}", value):
            raise InputError(
                f"{path}, {key}: expected a whole number, got {value!r:.80}; make the table again"
            )
    return Keys.of(table, path), np.array(list(map(int, table.values())), dtype=np.int64)
