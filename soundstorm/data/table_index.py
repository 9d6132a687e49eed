"""Tables of millions of lines in little memory: keys as one array of bytes, values as arrays of numbers.

A dictionary of Python strings takes some 300 bytes a line; 7 million utterances (60 000 hours) would be 2 GB for each
table. Here a line is its key and 8 to 12 bytes. Files are read in pieces, all lines of one at once; one with lines of
another form than the usual is read as any other table, with the messages that gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundstorm.data.data_dir import read_table

PIECE_BYTES = 1 << 23
NEWLINE, BLANK, COLON, ZERO = (np.uint8(ord(letter)) for letter in "\n :0")
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
                raise ValueError(
                    f"{where}, line {line + 1}: key {self[line]!r} is there a second time; keys must be unique "
                    "(utils/fix_data_dir.sh drops repeated lines)"
                )

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

    def row(self, key: str) -> int:
        """Where a key stands, or ``MISSING``."""
        name = key.encode()
        # A longer needle would make numpy copy the whole array into a wider one.
        if not name or len(name) > self.names.itemsize or name.endswith(b"\0"):
            return MISSING
        return int(self.rows(np.array([name]))[0])

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """Where each of many keys stands, or ``MISSING``; int64 of the shape of ``wanted``."""
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
    codes: dict[bytes, int] = {}
    names, archive, offset = [np.zeros(0, "S1")], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for piece in _pieces(path):
        lines = _Lines.split(piece)
        places = None if lines is None else lines.places()
        if places is None:
            return _odd_places(path)
        paths, offsets = places
        # Mostly, the utterances of an archive follow each other.
        first = np.flatnonzero(np.append(True, paths[1:] != paths[:-1]))
        runs = [codes.setdefault(name, len(codes)) for name in paths[first].tolist()]
        names.append(lines.keys())
        archive.append(np.repeat(np.array(runs, dtype=np.int32), np.diff(np.append(first, len(paths)))))
        offset.append(offsets)
    archives = [name.decode() for name in codes]
    return Places(Keys(np.concatenate(names), path), archives, np.concatenate(archive), np.concatenate(offset))


def read_numbers(path: str | Path) -> tuple[Keys, np.ndarray]:
    """Read a table of whole numbers such as ``utt2num_frames``: keys, and int64 values ``(number of lines,)``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, has a key twice, or a value that is no whole number.
    """
    names, values = [np.zeros(0, "S1")], [np.zeros(0, np.int64)]
    for piece in _pieces(path):
        lines = _Lines.split(piece)
        numbers = None if lines is None else _whole_numbers(lines.data, lines.space + 1, lines.end)
        if numbers is None:
            return _odd_numbers(path)
        names.append(lines.keys())
        values.append(numbers)
    return Keys(np.concatenate(names), path), np.concatenate(values)


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
    """Lines of the usual form: a key, one blank, and a value without blanks around it. Places are bytes of ``data``."""

    data: np.ndarray  # uint8
    start: np.ndarray  # of each line
    space: np.ndarray  # the blank after its key
    end: np.ndarray  # its newline

    @classmethod
    def split(cls, piece: bytes) -> _Lines | None:
        """None where a line is not of the usual form."""
        if any(odd in piece for odd in (b"\r", b"\t", b"\0")):
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


def _odd_places(path: str | Path) -> Places:
    table = read_table(path)
    codes: dict[str, int] = {}
    archive, offset = np.zeros(len(table), np.int32), np.full(len(table), MISSING, np.int64)
    for row, value in enumerate(table.values()):
        name, colon, number = value.rpartition(":")
        if colon and re.fullmatch("[0-9]{1,18}", number):
            value, offset[row] = name, int(number)
        archive[row] = codes.setdefault(value, len(codes))
    return Places(_odd_keys(path, table), list(codes), archive, offset)


def _odd_numbers(path: str | Path) -> tuple[Keys, np.ndarray]:
    table = read_table(path)
    for key, value in table.items():
        if not re.fullmatch("[0-9]{1,18}", value):
            raise ValueError(f"{path}, {key}: expected a whole number, got {value!r:.80}; make the table again")
    return _odd_keys(path, table), np.array(list(map(int, table.values())), dtype=np.int64)


def _odd_keys(path: str | Path, table: dict[str, str]) -> Keys:
    for key in table:
        if "\0" in key:
            raise ValueError(f"{path}: key {key!r:.80} has a character 0; rename it in local/data.sh")
    return Keys(np.array([key.encode() for key in table], dtype=None if table else "S1"), path)
