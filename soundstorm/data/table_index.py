"""Tables of millions of lines in little memory: keys as one array of bytes, values as arrays of numbers.

A dictionary of Python strings takes some 300 bytes a line; 7 million utterances (60 000 hours) would be 2 GB for each
table. Here a line is its key and 8 to 12 bytes. Files are read in pieces, by one regular expression; what it does not
match is read line by line as any other table, with the messages that gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundstorm.data.data_dir import read_table

PIECE_BYTES = 1 << 23
PLACE = re.compile(rb"(?m)^([^ \t\r\n]+) ([^\r\n]+):([0-9]{1,18})\n")
NUMBER = re.compile(rb"(?m)^([^ \t\r\n]+) ([0-9]{1,18})\n")
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
    names, archive, offset = [], [], []
    for matches in _matches(path, PLACE):
        if matches is None:
            return _odd_places(path)
        keys, paths, offsets = zip(*matches)
        names.append(np.array(keys))
        archive.append(np.array([codes.setdefault(name, len(codes)) for name in paths], dtype=np.int32))
        offset.append(np.array(list(map(int, offsets)), dtype=np.int64))
    if not names:
        return Places(Keys(np.zeros(0, "S1"), path), [], np.zeros(0, np.int32), np.zeros(0, np.int64))
    archives = [name.decode() for name in codes]
    return Places(Keys(np.concatenate(names), path), archives, np.concatenate(archive), np.concatenate(offset))


def read_numbers(path: str | Path) -> tuple[Keys, np.ndarray]:
    """Read a table of whole numbers such as ``utt2num_frames``: keys, and int64 values ``(number of lines,)``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is malformed, has a key twice, or a value that is no whole number.
    """
    names, values = [np.zeros(0, "S1")], [np.zeros(0, np.int64)]
    for matches in _matches(path, NUMBER):
        if matches is None:
            return _odd_numbers(path)
        keys, numbers = zip(*matches)
        names.append(np.array(keys))
        values.append(np.array(list(map(int, numbers)), dtype=np.int64))
    return Keys(np.concatenate(names), path), np.concatenate(values)


def _matches(path: str | Path, line: re.Pattern) -> Iterator[list[tuple[bytes, ...]] | None]:
    """The fields of all lines, piece by piece; None where a line is not of the usual form."""
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
                yield _fields(piece, line)
    if rest:
        yield _fields(rest + b"\n", line)


def _fields(piece: bytes, line: re.Pattern) -> list[tuple[bytes, ...]] | None:
    matches = line.findall(piece)
    try:
        piece.isascii() or piece.decode()
    except UnicodeDecodeError:
        return None
    return matches if len(matches) == piece.count(b"\n") and b"\0" not in piece else None


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
