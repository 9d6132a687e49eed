"""Token archives: kaldiio arks of uint16 records, with the identity of the tokenizer that made them.

``<name>.scp`` has a line ``<utt-id> <ark>:<offset>`` per utterance, as in Kaldi; ``<name>.json`` beside it is the
:class:`TokenizerInfo`. Everything downstream takes frame rate, levels and codebook size from there. ``<name>.sources``
beside an ark tells what audio its utterances were made of (``Utterances.sources``), so that replaced audio is noticed.
"""

import hashlib
import heapq
import io
import json
import logging
import math
import os
import re
import resource
import tokenize
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from soundstorm.data.data_dir import (
    FRAME_TABLES,
    looked_for,
    read_table,
    sorted_lines,
    whole_file,
    write_lines,
    write_table,
    write_text,
)
from soundstorm.data.errors import InputError
from soundstorm.data.records import digest_of, make_record, read_json
from soundstorm.data.table_index import MISSING, read_numbers, read_places

logger = logging.getLogger(__name__)

MOST_LEVELS = 1024
SHARD_UTTERANCES, SHARD_DIGITS = 5000, 12  # some 40 hours
SHARD_NAME = re.compile(rf".+\.[0-9a-f]{{{SHARD_DIGITS}}}")
MOST_FILES = 128  # archives kept open
SOURCES = ".sources"  # beside the ark of a shard; one of before, without it, counts as made of what is there now
SUMMARY = ".summary.json"  # beside the scp of a job, and that of a set: the figures of its tokens
FIRST_BYTES = 4096  # of a record, read at once: its header, and all of a short one


@dataclass(frozen=True)
class TokenizerInfo:
    """What a tokenizer is, as far as its tokens show."""

    kind: str  # "semantic" or "acoustic"
    name: str  # for people: "exp/hubert_mini/hubert layer 3, 100 clusters"
    fingerprint: str  # sha256 over weights and settings
    frame_rate: float  # frames per second
    num_levels: int  # Q; 1 for semantic tokens
    codebook_size: int  # N
    sample_rate: int  # Hz of the audio it reads
    groups: int = 1  # G: levels of one stage of the residual, beside each other (`codebook.levels_of_stage`)

    def __post_init__(self):
        if self.kind not in ("semantic", "acoustic"):
            raise InputError(f"kind is {self.kind!r:.80}, expected semantic or acoustic")
        if not 1 <= self.num_levels <= MOST_LEVELS or not 1 <= self.codebook_size <= 65536:
            raise InputError(
                f"num_levels is {self.num_levels} and codebook_size {self.codebook_size}, expected 1 to {MOST_LEVELS} "
                "levels of 1 to 65536 codes (tokens are stored as uint16)"
            )
        if self.groups < 1 or self.num_levels % self.groups:
            raise InputError(f"groups is {self.groups}, expected a divisor of num_levels, {self.num_levels}")
        if self.frame_rate <= 0 or self.sample_rate <= 0:
            raise InputError(f"frame_rate is {self.frame_rate}, sample_rate {self.sample_rate}, expected more than 0")

    @property
    def num_stages(self) -> int:
        """Stages of the residual, Q / G."""
        return self.num_levels // self.groups

    @classmethod
    def from_dict(cls, values: dict, where: str) -> "TokenizerInfo":
        """Of JSON or YAML; ``where`` names the file in messages."""
        return make_record(cls, values, where)

    def check_same(self, other: "TokenizerInfo", mine: str, theirs: str) -> None:
        """Refuse tokens of another tokenizer. ``mine`` and ``theirs`` say where each came from."""
        if self.fingerprint != other.fingerprint:
            raise InputError(
                f"{self.kind} tokens do not belong together: {mine} has those of {self.name} "
                f"({self.fingerprint[:12]}), {theirs} those of {other.name} ({other.fingerprint[:12]}); "
                "extract both with the same tokenizer"
            )


def read_info(scp: str | Path) -> TokenizerInfo:
    """Identity of the tokenizer behind ``<name>.scp``, from ``<name>.json``."""
    path = Path(scp).with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing, so nobody knows which tokenizer made {scp}; extract the tokens again"
        )
    return TokenizerInfo.from_dict(read_json(path, "extract the tokens again"), str(path))


def write_tokens(prefix: str | Path, items: Iterable[tuple[str, np.ndarray]], info: TokenizerInfo) -> int:
    """Write ``<prefix>.ark``, ``<prefix>.json`` and, last, ``<prefix>.scp``, so that the scp's presence means done.

    Args:
        prefix: path without suffix; may contain dots.
        items: utterance ids with integer tokens, ``(T,)`` semantic or ``(T, Q)`` acoustic.
        info: who made the tokens.

    Returns:
        Number of utterances written.

    Raises:
        ValueError: there are no utterances, or tokens that ``info`` does not allow.
    """
    import kaldiio

    prefix = str(prefix)
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    ark = Path(f"{prefix}.ark")
    lines, count = [], 0
    with whole_file(ark) as temporary, open(temporary, "wb") as stream:
        for utt, tokens in items:
            _check_tokens(utt, tokens, info)
            offset = stream.tell() + len(f"{utt} ".encode())
            kaldiio.save_ark(stream, {utt: tokens.astype(np.uint16)}, write_function="numpy")
            lines.append(f"{utt} {ark}:{offset}\n")
            count += 1
        if not count:
            raise InputError(f"{prefix}: not one utterance could be tokenized; see the warnings above")
    write_text(f"{prefix}.json", json.dumps(asdict(info), indent=2) + "\n")
    write_text(f"{prefix}.scp", "".join(lines))
    return count


def write_shards(
    prefix: str | Path,
    ids: Sequence[str],
    tokenize: Callable[[list[str]], Iterable[tuple[str, np.ndarray]]],
    info: TokenizerInfo,
    *,
    sources: Callable[[Sequence[str]], list[str]] | None = None,
    shard_utterances: int = SHARD_UTTERANCES,
) -> int:
    """Write the tokens of many utterances in shards; what whole shards of the folder have is not made again.

    So a call that is repeated goes on after the last whole shard, and one for other jobs, or without some of the
    utterances, makes nothing twice; nor does one after audio was replaced, but for the utterances of that.

    Args:
        prefix: as of :func:`write_tokens`. The name of a shard has a digest of its utterances and sources in it.
            Shards of other prefixes in the same folder are those of other jobs.
        ids: the utterances.
        tokenize: from ids to those of them that have tokens, with these.
        info: who makes the tokens.
        sources: what audio utterances are made of now, ``Utterances.sources``; None: nobody asks.
        shard_utterances: utterances in a shard.

    Returns:
        Number of utterances with tokens.

    Raises:
        ValueError: not one of the utterances has tokens.
    """
    if shard_utterances < 1:
        raise InputError(f"shard_utterances is {shard_utterances}, expected at least 1")
    prefix = Path(prefix)
    places = _places_in_shards(prefix.parent, info, frozenset(ids), sources)
    left = [utt for utt in ids if utt not in places]
    if len(left) < len(ids):
        logger.info("%s: %d of %d utterances are there already", prefix, len(ids) - len(left), len(ids))
    for first in range(0, len(left), shard_utterances):
        some = left[first : first + shard_utterances]
        made_of = [] if sources is None else sources(some)  # before the audio is read
        shard = f"{prefix}.{hashlib.sha256(' '.join([*some, *made_of]).encode()).hexdigest()[:SHARD_DIGITS]}"
        items = iter(tokenize(some))
        one = next(items, None)
        if one is not None:  # or else all of them were left out
            if made_of:
                prefix.parent.mkdir(parents=True, exist_ok=True)
                write_table(f"{shard}{SOURCES}", dict(zip(some, made_of)))
            write_tokens(shard, chain([one], items), info)
            places.update(read_table(f"{shard}.scp"))
        logger.info("%s: %d of %d utterances", shard, len(ids) - len(left) + first + len(some), len(ids))
    if not places:
        raise InputError(f"{prefix}: not one utterance could be tokenized; see the warnings above")
    scp, summary = Path(f"{prefix}.scp"), Path(f"{prefix}{SUMMARY}")
    summary.unlink(missing_ok=True)  # of an earlier run
    _write_index(scp, sorted(places.items()), info)
    counts, frames = count_codes(TokenArchive(scp))
    content = {"fingerprint": info.fingerprint, "counts": counts.tolist(), "frames": frames}
    write_text(summary, json.dumps(content) + "\n")
    for path in prefix.parent.glob(f"{prefix.name}.*.json"):  # of another tokenizer, which an earlier run had
        with suppress(ValueError):
            if SHARD_NAME.fullmatch(path.stem) and read_info(path).fingerprint != info.fingerprint:
                for suffix in (".scp", ".json", ".ark", SOURCES):
                    path.with_suffix(suffix).unlink(missing_ok=True)
    return len(places)


def count_codes(archive: "TokenArchive") -> tuple[np.ndarray, dict[str, int]]:
    """Occurrences of each code of each level, (Q, N), and the frames of each utterance."""
    levels, size = archive.info.num_levels, archive.info.codebook_size
    counts, frames, offsets = np.zeros(levels * size, dtype=np.int64), {}, np.arange(levels) * size
    for row, utt in enumerate(archive.ids):
        tokens = archive.at(row).reshape(-1, levels)
        frames[utt] = len(tokens)
        counts += np.bincount((tokens + offsets).ravel(), minlength=levels * size)
    return counts.reshape(levels, size), frames


def read_summary(archive: "TokenArchive") -> tuple[np.ndarray, dict[str, int]]:
    """What :func:`count_codes` finds, from where :func:`write_shards` has written it; else all tokens are read."""
    path, info = archive.scp.with_name(f"{archive.scp.stem}{SUMMARY}"), archive.info
    with suppress(ValueError, OSError, KeyError, TypeError, AttributeError, OverflowError):
        told = read_json(path, "")
        counts, frames = np.asarray(told["counts"], dtype=np.int64), told["frames"]
        if (
            told["fingerprint"] == info.fingerprint
            and counts.shape == (info.num_levels, info.codebook_size)
            and frames.keys() == set(archive.ids)
            and all(type(number) is int and number > 0 for number in frames.values())
            and (counts.sum(1) == sum(frames.values())).all()
        ):
            return counts, frames
    return count_codes(archive)


def _places_in_shards(
    folder: Path, info: TokenizerInfo, ids: frozenset[str], sources: Callable[[Sequence[str]], list[str]] | None
) -> dict[str, str]:
    """Where the whole shards of a folder have tokens of some utterances, made of what these are made of now."""
    places: dict[str, str] = {}
    for scp in sorted(folder.glob("*.scp")):
        if not SHARD_NAME.fullmatch(scp.stem):
            continue
        try:
            archive = TokenArchive(scp)
            if archive.info.fingerprint == info.fingerprint:
                archive.check()
                ours = read_table(scp, ids)
                for utt in archive.changed(sources) if sources and ours else ():
                    ours.pop(utt, None)
                places.update(ours)
        except (ValueError, OSError) as error:
            logger.warning("%s is made again: %s", scp, error)
    return places


def _check_tokens(utt: str, tokens: np.ndarray, info: TokenizerInfo) -> None:
    shape = f"(T, {info.num_levels})" if info.kind == "acoustic" else "(T,)"
    right = tokens.ndim == 1 if info.kind == "semantic" else tokens.ndim == 2 and tokens.shape[1] == info.num_levels
    if not right or len(tokens) == 0:
        raise InputError(f"{utt}: {info.kind} tokens have the shape {tokens.shape}, expected {shape} with T > 0")
    if tokens.min() < 0 or tokens.max() >= info.codebook_size:
        raise InputError(
            f"{utt}: tokens lie in [{tokens.min()}, {tokens.max()}], "
            f"expected [0, {info.codebook_size - 1}] of {info.name}"
        )


class TokenArchive:
    """Random access to the tokens behind an scp file. The tokens stay on disk; in memory there is an index only."""

    def __init__(self, scp: str | Path):
        self.scp = Path(scp)
        self.info = read_info(self.scp)
        self._places = read_places(self.scp)
        self.keys = self._places.keys
        if not len(self.keys):
            raise InputError(f"{self.scp}: no utterances; extract the tokens again")
        self._files = _Files()

    @property
    def ids(self) -> list[str]:
        """All utterances, as strings; :attr:`keys` has them in less memory."""
        return self.keys[:]

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, utt: str) -> bool:
        return utt in self.keys

    def __getitem__(self, utt: str) -> np.ndarray:
        """Tokens of one utterance: uint16 ``(T,)`` or ``(T, Q)``."""
        row = self.keys.row(utt)
        if row == MISSING:
            raise InputError(f"{self.scp}: no tokens of {utt}; extract them, or leave the utterance out")
        return self.at(row)

    def at(self, row: int) -> np.ndarray:
        """Tokens of the utterance in a line of the scp, counted from 0."""
        tokens, utt = self._read(row, _read_tokens), self.keys[row]
        try:
            _check_tokens(utt, tokens, self.info)
        except ValueError as error:
            raise InputError(f"{self.scp}: {error}; extract the tokens again") from error
        return tokens

    def require_semantic(self) -> None:
        """Refuse tokens of a codec."""
        if self.info.kind != "semantic":
            raise InputError(f"{self.scp}: holds {self.info.kind} tokens, expected semantic tokens")

    def frames(self) -> np.ndarray:
        """Frames of every utterance, int64 ``(number of utterances,)``.

        They come from the table that ``merge_tokens`` writes beside the scp; of what it lacks, from the archives.
        """
        frames = np.full(len(self), MISSING, dtype=np.int64)
        table = self.scp.with_name(FRAME_TABLES[self.info.kind])
        if table.is_file():
            keys, numbers = read_numbers(table)
            rows = keys.rows(self.keys.names)
            frames[rows != MISSING] = numbers[rows[rows != MISSING]]
            self.check()
        for row in np.flatnonzero(frames <= 0).tolist():
            frames[row] = self._read(row, _read_length)
        return frames

    def check(self) -> None:
        """Archives that have gone, or end before what the scp promises, are found before training, not in it.

        Raises:
            FileNotFoundError, ValueError: as when tokens are read; the message names the archive.
        """
        last = np.full(len(self._places.archives), MISSING, dtype=np.int64)
        np.maximum.at(last, self._places.archive, self._places.offset)
        ends = self._places.offset == last[self._places.archive]
        for row in np.flatnonzero(ends):  # the last record of each: without it, nothing before it is missing
            self._read(int(row), _read_length)

    def changed(self, sources: Callable[[Sequence[str]], list[str]]) -> Iterator[str]:
        """Utterances whose audio is not what their tokens were made of.

        Args:
            sources: ``Utterances.sources`` of the audio as it is. Of what is not there nothing can be told: audio may
                be removed when it has tokens.
        """
        order = np.argsort(self._places.archive, kind="stable")  # archive by archive, so that memory stays small
        for rows in np.split(order, np.flatnonzero(np.diff(self._places.archive[order])) + 1):
            table = Path(self._places.archives[self._places.archive[rows[0]]]).with_suffix(SOURCES)
            if not table.is_file():
                continue
            made_of, ids = read_table(table), [self.keys[row] for row in rows.tolist()]
            for utt, now in zip(ids, sources(ids)):
                # Without the bytes of a recording that is not there, it is the start of what was.
                if now and not f"{made_of.get(utt, '')} ".startswith(f"{now} "):
                    yield utt

    def _read(self, row: int, read: Callable[[int, int], Any]) -> Any:
        path, offset = self._places.archives[self._places.archive[row]], int(self._places.offset[row])
        utt, where = self.keys[row], path if offset == MISSING else f"{path}:{offset}"
        try:
            if offset == MISSING:
                raise InputError("expected <ark>:<offset>")
            return read(self._files.open(path), offset)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self.scp}: archive {path!r} of {utt} does not exist{looked_for(path)}; extract the tokens again"
            ) from error
        except (ValueError, IndexError, EOFError, OSError, OverflowError) as error:
            raise InputError(
                f"{self.scp}: cannot read {utt} at {where!r} ({error}); extract the tokens again"
            ) from error


class _Files:
    """Descriptors of the archives read last. They are read by place, so that processes may share them."""

    def __init__(self):
        self._open: OrderedDict[str, int] = OrderedDict()

    def open(self, path: str) -> int:
        if path in self._open:
            self._open.move_to_end(path)
        else:
            while len(self._open) >= MOST_FILES:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[path]

    def __getstate__(self) -> dict:
        return {}  # another process opens its own

    def __setstate__(self, state: dict) -> None:
        self.__init__()

    def __del__(self):
        for descriptor in self._open.values():
            os.close(descriptor)


# kaldiio.load_mat would read a record, but it also runs commands and unpacks other formats; this accepts one only.


def _read_start(file: int, offset: int) -> tuple[bytes, int, int]:
    """The first bytes of a record, and where its array begins and ends in them and beyond."""
    start = os.pread(file, FIRST_BYTES, offset)
    if start[:3] != b"NPY":
        raise InputError("no token record there")
    first = 4 + start[3]
    length = int.from_bytes(start[4:first], "little")
    if length > os.fstat(file).st_size - offset - first:
        raise InputError("the archive is truncated")
    return start, first, first + length


def _read_tokens(file: int, offset: int) -> np.ndarray:
    start, first, end = _read_start(file, offset)
    if end > len(start):
        start += os.pread(file, end - len(start), offset + len(start))
    return parse_array(start[first:end])


def _read_length(file: int, offset: int) -> int:
    """Frames of a record, from its header."""
    start, first, end = _read_start(file, offset)
    shape, dtype, begin, _ = _parse_header(start[first:end])
    if math.prod(shape) * dtype.itemsize != end - first - begin or not shape:
        raise InputError(f"{end - first - begin} bytes of numbers, expected those of an array {shape}")
    return shape[0]


def _parse_header(record: bytes) -> tuple[tuple[int, ...], np.dtype, int, str]:
    """Shape, type, place of the numbers and their order of a ``.npy`` file of integers."""
    stream = io.BytesIO(record)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise InputError("not a numpy record of version 1.0")
    try:
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    except (SyntaxError, tokenize.TokenError) as error:  # numpy parses the header as Python
        raise InputError("its header is damaged") from error
    if not np.issubdtype(dtype, np.integer):
        raise InputError(f"{dtype} values, expected integers")
    return shape, dtype, stream.tell(), "F" if fortran_order else "C"


def parse_array(record: bytes) -> np.ndarray:
    """A whole ``.npy`` file of integers. numpy.load would first reserve as much memory as its header says."""
    shape, dtype, begin, order = _parse_header(record)
    data = record[begin:]
    if math.prod(shape) * dtype.itemsize != len(data):
        raise InputError(f"{len(data)} bytes of numbers, expected those of an array {shape}")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def merge_archives(parts: list[str | Path], scp: str | Path, counts: np.ndarray | None = None) -> TokenizerInfo:
    """Join the scp files of array jobs into one, sorted by utterance.

    Args:
        parts: The scp files.
        scp: The file to write.
        counts: Occurrences of each code of each level, ``(Q, N)``, to be written beside it for `read_counts`.

    Raises:
        ValueError: the parts come from different tokenizers, or two of them have the same utterance.
    """
    info = read_info(parts[0])
    for part in parts:
        info.check_same(read_info(part), str(parts[0]), str(part))
    _write_index(scp, joined(parts), info, counts)
    return info


def joined(parts: Sequence[str | Path]) -> Iterator[tuple[str, str]]:
    """The lines of all parts by utterance, which are not held in memory.

    Raises:
        ValueError: two parts have the same utterance.
    """
    allow_open_files(len(parts))
    last = ""
    for utt, where, part in heapq.merge(*(_of_part(part) for part in parts), key=itemgetter(0)):
        if utt == last:
            raise InputError(f"{part}: utterance {utt} is in another part too")
        last = utt
        yield utt, where


def allow_open_files(number: int) -> None:
    """Raise this process's limit where so many files beside its others are more, as far as the system lets it."""
    (soft, hard), wanted = resource.getrlimit(resource.RLIMIT_NOFILE), number + 256
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _of_part(part: str | Path) -> Iterator[tuple[str, str, str | Path]]:
    return ((utt, where, part) for utt, where in sorted_lines(part))


def _write_index(
    scp: str | Path, places: Iterable[tuple[str, str]], info: TokenizerInfo, counts: np.ndarray | None = None
) -> None:
    """Write an scp file and, before it is there, what describes it; ``places`` are sorted."""
    scp = Path(scp)
    scp.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(scp) as temporary:
        write_lines(temporary, places)
        write_text(scp.with_name(f"{scp.stem}.json"), json.dumps(asdict(info), indent=2) + "\n")
        if counts is not None:
            content = {"scp": digest_of(temporary), "counts": counts.tolist()}
            write_text(scp.with_name(f"{scp.stem}{SUMMARY}"), json.dumps(content) + "\n")


def read_counts(archive: "TokenArchive") -> np.ndarray:
    """Occurrences of each code of each level, (Q, N), as :func:`merge_archives` has written them; or else counted."""
    info = archive.info
    with suppress(ValueError, OSError, KeyError, TypeError, OverflowError):
        told = read_json(archive.scp.with_name(f"{archive.scp.stem}{SUMMARY}"), "")
        counts = np.asarray(told["counts"], dtype=np.int64)
        if told["scp"] == digest_of(archive.scp) and counts.shape == (info.num_levels, info.codebook_size):
            return counts
    return count_codes(archive)[0]
