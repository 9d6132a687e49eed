"""Audio of any `wav.scp` as mono files of one rate: what `utils/format_wav_scp.sh` does."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from soundstorm.data.audio import num_samples, read_to_end
from soundstorm.data.data_dir import KNOWN, RECORDING, check_ids, looked_for, parse_segment, write_bytes
from soundstorm.data.data_dir_edit import Contents, keep
from soundstorm.data.data_dir_values import IN_ARCHIVE, is_command, not_audio
from soundstorm.data.durations import (
    MOST_AMPLITUDE,
    MOST_CUT_SECONDS,
    MOST_FRAMES,
    TOLERANCE_SECONDS,
    check_whole,
    format_seconds,
)
from soundstorm.data.errors import InputError

FORMATS = ("flac", "wav")  # of 16 bits
AT_ONCE = 4096  # recordings that wait for a thread
# Said of the audio as it was.
OUTDATED = ("semantic.scp", "acoustic.scp", "utt2num_frames", "utt2num_acoustic_frames", "utt2rate", "segments")
PROGRESS_SECONDS = 60.0


@dataclass(frozen=True)
class AudioFormat:
    """What is written.

    Attributes:
        sample_rate: Hz.
        audio_format: One of `FORMATS`.
        channel: Which to take of several, from 1; None for the mean of all.
        allow_pipes: Whether commands in `wav.scp` may be run.
    """

    sample_rate: int
    audio_format: str = "flac"
    channel: int | None = None
    allow_pipes: bool = False


class Piece(NamedTuple):
    """An utterance of a recording, from `start` to `end` seconds; None is the end."""

    utterance: str
    start: float = 0.0
    end: float | None = None


@dataclass
class Formatted:
    """Files by utterance, their seconds, and what was left out or cut, a line each."""

    paths: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def format_recordings(
    contents: Contents, directory: Path, wanted: AudioFormat, num_threads: int = 1, progress: Callable = print
) -> tuple[Contents, Formatted]:
    """Write every utterance to a file of its own; those that are there of an earlier call are not written again.

    A recording whose file has another size or time than at that call is read again. What a command gives cannot be
    known without running it: one of the same words is run again where a file that it names as a word has changed.
    Files of before stay, as other directories may name them.

    Args:
        contents: A data directory, with `segments` or without.
        directory: Gets the files; an utterance's name in it tells its source, that one's size and time, place and
            format too.
        wanted: The format.
        num_threads: Recordings that are read at once.
        progress: Is told now and then how far the work is.

    Returns:
        The directory of those files, without the utterances that were left out, and what was done.

    Raises:
        ValueError: `wav.scp` has commands, which are not allowed.
    """
    sources, pieces = contents.tables["wav.scp"], _pieces(contents)
    commands = [name for name, source in sources.items() if is_command(source)]
    if commands and not wanted.allow_pipes:
        raise InputError(
            f"wav.scp: {len(commands)} of {len(sources)} recordings are commands, which would be run, e.g. "
            f"{commands[0]}: {sources[commands[0]]:.80}; if you know them, pass --allow-pipes true"
        )
    done, names, told = Formatted(), sorted(pieces), time.monotonic()
    pool = ThreadPoolExecutor(num_threads)
    try:
        for first in range(0, len(names), AT_ONCE):
            some = names[first : first + AT_ONCE]
            work = ((name, sources.get(name, ""), pieces[name], directory, wanted) for name in some)
            for number, part in enumerate(pool.map(lambda job: format_recording(*job), work), start=first + 1):
                done.paths.update(part.paths)
                done.seconds.update(part.seconds)
                done.left_out += part.left_out
                done.notes += part.notes
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    progress(f"{number} of {len(names)} recordings")
    finally:
        pool.shutdown(cancel_futures=True)
    kept = keep(contents, done.paths)
    tables = {n: t for n, t in kept.tables.items() if n not in OUTDATED}
    tables = {n: t for n, t in tables.items() if n not in KNOWN or KNOWN[n].key != RECORDING}
    tables["wav.scp"] = {utterance: done.paths[utterance] for utterance in tables["utt2spk"]}
    tables["utt2dur"] = {utterance: format_seconds(done.seconds[utterance]) for utterance in tables["utt2spk"]}
    return Contents(tables, {}, kept.extra), done


def _pieces(contents: Contents) -> dict[str, list[Piece]]:
    """Recording to its utterances."""
    utterances = contents.tables["utt2spk"]
    check_ids(utterances, "utt2spk")  # they become names of files
    if "segments" not in contents.tables:
        return {utterance: [Piece(utterance)] for utterance in utterances}
    pieces: dict[str, list[Piece]] = {}
    for utterance, value in contents.tables["segments"].items():
        if utterance in utterances:
            try:
                recording, start, end = parse_segment(value)
            except ValueError as error:
                raise InputError(f"segments, utterance {utterance}: {error}") from None
            pieces.setdefault(recording, []).append(Piece(utterance, start, end))
    return pieces


def format_recording(
    name: str, source: str, pieces: Sequence[Piece], directory: Path, wanted: AudioFormat
) -> Formatted:
    """Write the utterances of one recording; nothing that is wrong with it is an error, but a reason to leave it out.

    Args:
        name: The recording.
        source: Its value in `wav.scp`.
        pieces: Its utterances.
        directory: Gets the files.
        wanted: The format.
    """
    import soundfile

    result = Formatted()
    missing = []
    try:
        state = f"{source} {_stamps(source)}"
        for piece in pieces:
            target = _target(directory, state, piece, wanted)
            if target.is_file():
                result.paths[piece.utterance] = str(target)
                result.seconds[piece.utterance] = soundfile.info(str(target)).duration
            else:
                missing.append((piece, target))
        if missing:
            with _open(source) as opened, _with_length(opened) as recording:
                for piece, target in missing:
                    try:
                        seconds = _write(recording, piece, target, wanted, result.notes)
                    except ValueError as error:
                        result.left_out.append(f"utterance {piece.utterance} of {source or name}: {error}")
                    else:
                        result.paths[piece.utterance], result.seconds[piece.utterance] = str(target), seconds
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        gone = [piece for piece, _ in missing if piece.utterance not in result.paths]
        unread = isinstance(error, soundfile.LibsndfileError)
        told = not_audio(source, error) if unread else f"{source or name}: {error}"
        result.left_out += [f"utterance {piece.utterance} of {told}" for piece in gone]
    return result


def _target(directory: Path, state: str, piece: Piece, wanted: AudioFormat) -> Path:
    """Where an utterance of a source in some state goes; 256 folders, as a million files are too many for one."""
    identity = f"{state} {piece.start} {piece.end} {wanted.sample_rate} {wanted.channel}"
    folder = f"{zlib.crc32(piece.utterance.encode()) % 256:02x}"
    return directory / folder / f"{piece.utterance}.{zlib.crc32(identity.encode()):08x}.{wanted.audio_format}"


def _stamps(source: str) -> list[tuple[int, int]]:
    """Size and time of the files behind a value of `wav.scp`: a replacement may well have an older time (cp -p)."""
    files = [source]
    if is_command(source):
        files = _named_files(source)
    elif not os.path.isfile(source) and (match := IN_ARCHIVE.fullmatch(source)):
        files = [match[1]]
    return [(os.stat(file).st_size, os.stat(file).st_mtime_ns) for file in files if os.path.isfile(file)]


def _named_files(command: str) -> list[str]:
    """Words that a command may read; not its programs, as one built anew mostly gives the same audio, nor its logs."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:  # a quotation that does not end
        return []
    return [word for before, word in zip(["|", *words], words) if before.strip("|&;(>")]


class _Window(io.RawIOBase):
    """A stretch of an open file as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@contextmanager
def _open(source: str) -> Iterator:
    """The recording that a value of `wav.scp` means, as an open `soundfile.SoundFile`.

    Raises:
        ValueError: There is none, or a command fails.
    """
    import soundfile

    if is_command(source):
        with tempfile.TemporaryFile() as output:
            command = source.strip().removesuffix("|")
            words = ["bash", "-o", "pipefail", "-c", command]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE)
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
            if done.returncode:
                raise InputError(f"the command ended with status {done.returncode}: {said[-1]:.200}")
            output.seek(0)
            with soundfile.SoundFile(output) as recording:
                yield recording
    elif not Path(source).is_file() and (match := IN_ARCHIVE.fullmatch(source)):
        with open(match[1], "rb") as archive, soundfile.SoundFile(_record(archive, int(match[2]))) as recording:
            yield recording
    elif not Path(source).is_file():
        raise InputError(f"no such file{looked_for(source)}" if source else "wav.scp does not have it")
    else:
        with soundfile.SoundFile(source) as recording:
            if 0 < recording.frames <= MOST_FRAMES:
                check_whole(recording, source)
            yield recording


def _with_length(recording):
    """The recording, or one of the same samples where its header has no length, as of FLAC from a pipe."""
    import soundfile

    if recording.frames <= MOST_FRAMES:
        return recording
    rate, whole = recording.samplerate, tempfile.TemporaryFile()
    soundfile.write(whole, read_to_end(recording), rate, format="W64", subtype="FLOAT")
    whole.seek(0)
    return soundfile.SoundFile(whole)


def _record(archive: BinaryIO, offset: int) -> _Window:
    """One recording of an archive as Kaldi (a WAV after the key) or kaldiio ("AUDIO" and its length) writes it."""
    archive.seek(offset)
    start = archive.read(16)
    left = archive.seek(0, io.SEEK_END) - offset
    skipped, size = 0, left
    if start[:5] == b"AUDIO":
        skipped = 6 + start[5]
        size = int.from_bytes(start[6:skipped], "little")
    elif start[:4] == b"RIFF":
        size = 8 + int.from_bytes(start[4:8], "little")
    elif start[:4] != b"fLaC":
        raise InputError(f"no audio there, but {start[:5]!r}; expected WAV, FLAC or kaldiio's AUDIO")
    if skipped + size > left:
        raise InputError("the archive is truncated")
    return _Window(archive, offset + skipped, size)


def _write(recording, piece: Piece, target: Path, wanted: AudioFormat, notes: list[str]) -> float:
    """Write one utterance of an open recording; returns its seconds.

    Raises:
        ValueError: It is empty, damaged, on another scale or without the channel.
    """
    import numpy as np
    import soundfile
    import soxr

    rate, total = recording.samplerate, recording.frames
    first, last = num_samples(piece.start, rate), total
    if piece.end is not None:
        last = min(num_samples(piece.end, rate), total)
        ends, late = f"ends at {piece.end:g} s, its recording at {total / rate:g} s", piece.end - total / rate
        if late > MOST_CUT_SECONDS:
            raise InputError(ends)
        if late > TOLERANCE_SECONDS and first < total:
            notes.append(f"utterance {piece.utterance}: {ends}; cut there")
    if last <= first:
        raise InputError(f"nothing from {piece.start:g} s on, the recording has {total / rate:g} s")
    recording.seek(first)
    wav = recording.read(last - first, dtype="float32", always_2d=True)
    if len(wav) < last - first:
        raise InputError(f"damaged: {len(wav)} samples could be read of {last - first}")
    if wanted.channel is not None and wanted.channel > wav.shape[1]:
        raise InputError(f"there is no channel {wanted.channel}, the recording has {wav.shape[1]}")
    mono = wav.mean(axis=1) if wanted.channel is None else wav[:, wanted.channel - 1]
    if not np.isfinite(mono).all():
        raise InputError(f"{int((~np.isfinite(mono)).sum())} samples are NaN or infinite")
    if np.abs(mono).max() > MOST_AMPLITUDE:
        raise InputError(f"samples reach {np.abs(mono).max():g}, expected -1 to 1; divide them, e.g. by 32768")
    mono = soxr.resample(mono, rate, wanted.sample_rate) if rate != wanted.sample_rate else mono
    if not len(mono):
        raise InputError(f"too short: no sample is left at {wanted.sample_rate} Hz")
    content = io.BytesIO()  # libsndfile does not say that a disk is full
    samples, rate = np.clip(mono, -1.0, 1.0), wanted.sample_rate
    soundfile.write(content, samples, rate, subtype="PCM_16", format=wanted.audio_format)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, content.getvalue())
    return len(mono) / wanted.sample_rate
