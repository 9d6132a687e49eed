"""Speech recordings as float arrays, with every way a file can be wrong turned into a clear message."""

import io
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import numpy as np

from soundstorm.data.data_dir import looked_for, write_bytes
from soundstorm.data.data_dir_values import FORMAT_TOOL, not_audio
from soundstorm.data.durations import MOST_FRAMES, NO_LENGTH
from soundstorm.data.errors import InputError
from soundstorm.data.table_index import MISSING, Keys, read_seconds, read_stretches, read_values

Seconds = float
# Where reading from the middle gives the samples that reading from the start does.
SEEKABLE = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "NIST", "FLAC")
EXACT = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
STAT_BLOCK, STATS_AT_ONCE = 1000, 16  # files that a thread looks at in one go, and threads
READERS = 4  # threads that read ahead of who works on recordings, a batch each
BLOCK_SAMPLES = 1 << 20  # read at a time: a damaged header may promise more than fits in memory
WRITTEN_SAMPLES = 1 << 16  # written at a time: libvorbis puts all that it gets on the stack


def num_samples(seconds: Seconds, sample_rate: int) -> int:
    """Samples in a duration: the one rounding rule of the project (half up)."""
    return int(np.floor(seconds * sample_rate + 0.5))


def normalize(wav: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, as the feature extractor of transformers has it."""
    return ((wav - wav.mean()) / np.sqrt(wav.var() + 1e-7)).astype(np.float32)


def resample(wav: np.ndarray, sample_rate: int, wanted: int) -> np.ndarray:
    """Samples ``(S,)`` at another rate; as they are where the rates are the same."""
    if wanted == sample_rate:
        return wav
    import soxr

    return np.asarray(soxr.resample(wav, sample_rate, wanted), dtype=np.float32)


def wrong_rate(where: str | Path, found: int, needed: int) -> InputError:
    """What to raise of a recording at a rate in Hz that cannot be used."""
    return InputError(
        f"{where}: sample rate is {found} Hz but {needed} Hz is needed; resample the audio by {FORMAT_TOOL}, "
        f"in a recipe by --audio-format flac --sample-rate {needed}"
    )


def read_audio(
    path: str | Path,
    sample_rate: int,
    *,
    start: Seconds = 0.0,
    end: Seconds | None = None,
    lower: bool = False,
    crop: Callable[[int], slice] | None = None,
) -> np.ndarray:
    """Read one mono recording, or the part of it from ``start`` to ``end`` seconds.

    Args:
        path: The file.
        sample_rate: Hz that is needed.
        start, end: Which part.
        crop: Told the number of samples, says which of them are wanted. Others are not decoded where the format can be
            entered anywhere.
        lower: Bring a recording of a higher rate down to what is needed. Codecs want recordings at their own rate; what
            only listens to speech (HuBERT, recognisers, speaker models) may have a lower one.

    Returns:
        float32 array ``(S,)``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not audio, another sample rate, more than one channel, no samples, or samples that are not finite.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such recording{looked_for(path)}; check the paths in wav.scp")
    try:
        with soundfile.SoundFile(str(path)) as recording:
            rate = recording.samplerate
            if rate < sample_rate or rate != sample_rate and not lower:
                raise wrong_rate(path, rate, sample_rate)
            if recording.channels != 1:
                raise InputError(
                    f"{path}: {recording.channels} channels but 1 is needed; choose or mix them by {FORMAT_TOOL}, "
                    "in a recipe by --audio-format flac"
                )
            if recording.frames > MOST_FRAMES:
                raise InputError(f"{path}: {NO_LENGTH}")
            first = num_samples(start, rate)
            last = recording.frames if end is None else min(num_samples(end, rate), recording.frames)
            if last <= first:
                raise InputError(
                    f"{path}: no samples between {start:g} s and {'the end' if end is None else f'{end:g} s'} "
                    f"(the recording has {recording.frames / rate:g} s); remove or repair it"
                )
            exact = rate == sample_rate and recording.format in SEEKABLE and recording.subtype in EXACT
            wanted = crop(last - first) if crop and exact else slice(0, last - first)
            recording.seek(first + wanted.start)
            wav = read_blocks(recording, wanted.stop - wanted.start)
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, TypeError) as error:
        raise InputError(not_audio(path, error)) from error
    promised = wanted.stop - wanted.start
    if len(wav) < promised:
        raise InputError(
            f"{path}: {len(wav)} samples could be read where the header promises {promised}; the file is truncated"
        )
    if not np.isfinite(wav).all():
        raise InputError(f"{path}: {int((~np.isfinite(wav)).sum())} samples are NaN or infinite; remove or repair it")
    wav = resample(wav, rate, sample_rate)
    return wav[crop(len(wav))] if crop and not exact else wav


def read_blocks(recording, number: int) -> np.ndarray:
    """The next ``number`` samples of an open file, fewer where it ends: float32 ``(S,)``, or ``(S, C)`` of several
    channels."""
    blocks = []
    while number > 0 and len(block := recording.read(min(number, BLOCK_SAMPLES), dtype="float32")):
        blocks.append(block)
        number -= len(block)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks or [np.zeros(0, np.float32)])


def read_to_end(recording, most: int = sys.maxsize) -> np.ndarray:
    """All samples, as :func:`read_blocks` has them, or the first ``most``, whatever length the header has."""
    # FLAC written to a pipe has none, and soundfile, which seeks to where it has read to, fails at its end.
    recording.seekable = lambda: False
    return read_blocks(recording, most)


def write_audio(
    path: str | Path, wav: np.ndarray, sample_rate: int, *, kind: str = "WAV", comment: str = ""
) -> None:
    """Write ``(S,)`` float samples, whole or not at all; see :func:`encode_audio`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In memory first: libsndfile does not say that a disk is full.
    write_bytes(path, encode_audio(wav, sample_rate, kind=kind, comment=comment))


def encode_audio(wav: np.ndarray, sample_rate: int, *, kind: str = "WAV", comment: str = "") -> bytes:
    """``(S,)`` float samples as a file: 16-bit WAV, or another ``kind`` of libsndfile's as it is by default, with
    a comment where one is given."""
    import soundfile

    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", sample_rate, 1, format=kind) as stream:
        if comment:
            stream.comment = comment
        for start in range(0, len(wav), WRITTEN_SAMPLES):
            stream.write(np.clip(wav[start : start + WRITTEN_SAMPLES], -1.0, 1.0))
    return content.getvalue()


class _Parts(NamedTuple):
    """Where utterances are: their names, paths of recordings, and of each utterance the number of its recording, start
    and end; an end that is not a number is the recording's."""

    ids: Keys
    paths: np.ndarray  # UTF-8 bytes
    recording: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def read(cls, data_dir: Path) -> "_Parts":
        if data_dir.is_file():  # a table of recordings by itself
            recordings, paths = read_values(data_dir)
            count = len(recordings)
            return cls(recordings, paths, np.arange(count), np.zeros(count), np.full(count, np.nan))
        recordings, paths = read_values(data_dir / "wav.scp")
        path = data_dir / "segments"
        if not path.exists():
            count = len(recordings)
            return cls(recordings, paths, np.arange(count), np.zeros(count), np.full(count, np.nan))
        segments = read_stretches(path)
        number = recordings.rows(Keys.of(segments.recordings, path).names)[segments.recording]
        missing = np.flatnonzero(number == MISSING)
        if len(missing):
            row = int(missing[0])
            raise InputError(
                f"{path}: recording {segments.recordings[segments.recording[row]]} of {segments.keys[row]} "
                f"is not in wav.scp; run utils/fix_data_dir.sh {data_dir}"
            )
        return cls(segments.keys, paths, number.astype(np.int32), segments.start, segments.end)

    def of(self, ids: Keys, rows: np.ndarray) -> "_Parts":
        return _Parts(ids, self.paths, self.recording[rows], self.start[rows], self.end[rows])

    def place(self, row: int) -> tuple[str, Seconds, Seconds | None]:
        end = float(self.end[row])
        path = bytes(self.paths[self.recording[row]]).decode()
        return path, float(self.start[row]), None if np.isnan(end) else end


def _file_sizes(paths: np.ndarray) -> list[int]:
    """Bytes of files, ``MISSING`` of what is none."""
    sizes = []
    for path in paths.tolist():
        try:
            status = os.stat(path)
            sizes.append(status.st_size if S_ISREG(status.st_mode) else MISSING)
        except (OSError, ValueError):
            sizes.append(MISSING)
    return sizes


class Utterances:
    """The utterances of a data directory, read from ``wav.scp`` and, where there is one, ``segments``.

    What the tables say is kept as columns of numbers, so that 60 000 hours (7 million utterances) take less than 2 GB.
    """

    def __init__(
        self, data_dir: str | Path, sample_rate: int, keys: Sequence[str] | None = None, *, lower: bool = False
    ):
        """
        Args:
            data_dir: a validated data directory, or a file like ``wav.scp`` by itself.
            sample_rate: Hz that every recording must have.
            keys: use these utterances only, in this order; all of them by default.
            lower: recordings may have a higher rate and are brought down, see :func:`read_audio`.
        """
        self.data_dir = Path(data_dir)
        self.sample_rate, self.lower = sample_rate, lower
        self._parts = _Parts.read(self.data_dir)
        if keys is not None:
            self._keep(keys)
        if not len(self.ids):
            raise InputError(f"{self.data_dir}: no utterances")
        self._durations: np.ndarray | None = None
        self._sizes: np.ndarray | None = None

    @property
    def durations(self) -> np.ndarray:
        """Seconds of each utterance; read when they are asked for, as what only scores an utterance does not."""
        durations = self._told_durations()
        for row in np.flatnonzero(np.isnan(durations)):
            durations[row] = self._measured(int(row))
        return durations

    @property
    def ids(self) -> Keys:
        """Names of the utterances, a sequence of strings."""
        return self._parts.ids

    def _keep(self, names: Sequence[str]) -> np.ndarray:
        """Forget all other utterances; where these stood before."""
        ids = Keys.of(names, f"{self.data_dir}, utterances asked for")
        rows = self.ids.rows(ids.names)
        unknown = np.flatnonzero(rows == MISSING)
        if len(unknown):
            name = ids[int(unknown[0])]
            raise InputError(f"{self.data_dir}: no utterance {name!r} (and {len(unknown) - 1} more like it)")
        self._parts = self._parts.of(ids, rows)
        return rows

    def _told_durations(self) -> np.ndarray:
        """As ``utt2dur`` says, which is read once, else the segment's; not a number where only the recording tells."""
        if self._durations is None:
            self._durations = self._read_durations()
        return self._durations

    def _read_durations(self) -> np.ndarray:
        durations, path = self._parts.end - self._parts.start, self.data_dir / "utt2dur"
        if path.exists():
            names, seconds = read_seconds(path)
            rows = names.rows(self.ids.names)
            durations = np.where(rows == MISSING, durations, np.append(seconds, np.nan)[rows])
            if (durations <= 0).any():
                row = int(np.argmax(durations <= 0))
                raise InputError(
                    f"{path}: {self.ids[row]} lasts {durations[row]:g} s, expected more than 0; "
                    f"run utils/fix_data_dir.sh {self.data_dir}"
                )
        return durations

    def _measured(self, row: int) -> Seconds:
        import soundfile

        path, _, _ = self._parts.place(row)
        try:
            return soundfile.info(path).duration
        except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, TypeError) as error:
            raise InputError(not_audio(f"{self.data_dir / 'wav.scp'}, {self.ids[row]}: {path}", error)) from error

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, ids: Sequence[str]) -> "Utterances":
        """Some of these utterances, in this order, without reading the tables again."""
        part = copy(self)
        part._durations = self._told_durations()[part._keep(ids)]
        return part

    def sources(self, ids: Sequence[str]) -> list[str]:
        """What utterances are made of: start, end and bytes of the recording; no bytes where that is not there.

        Neither paths nor times are in it, so that a corpus that was moved or copied is the same; so is another
        recording of as many bytes. Recordings are looked at once. An utterance that is none of these has an empty one.
        """
        if self._sizes is None:
            self._sizes = np.full(len(self._parts.paths), MISSING, dtype=np.int64)
            used = np.unique(self._parts.recording)
            with ThreadPoolExecutor(STATS_AT_ONCE) as pool:  # millions of files of a server, which takes its time
                blocks = np.split(used, range(STAT_BLOCK, len(used), STAT_BLOCK))
                for block, sizes in zip(blocks, pool.map(lambda rows: _file_sizes(self._parts.paths[rows]), blocks)):
                    self._sizes[block] = sizes
        rows = self.ids.rows(Keys.of(ids, f"{self.data_dir}, utterances asked for").names)
        found = self._parts.recording[rows], self._parts.start[rows], self._parts.end[rows]
        places = zip(rows.tolist(), self._sizes[found[0]].tolist(), found[1].tolist(), found[2].tolist())
        return [
            "" if row == MISSING else f"{start!r} {end!r}" if size == MISSING else f"{start!r} {end!r} {size}"
            for row, size, start, end in places
        ]

    def read(self, utt: str, crop: Callable[[int], slice] | None = None) -> np.ndarray:
        """Samples of one utterance, float32 ``(S,)``; or a crop of them, see :func:`read_audio`."""
        row = self.ids.row(utt)
        if row == MISSING:
            raise KeyError(f"{self.data_dir}: no utterance {utt!r}")
        path, start, end = self._parts.place(row)
        return read_audio(path, self.sample_rate, start=start, end=end, lower=self.lower, crop=crop)

    def read_ahead(
        self, batches: Iterable[Sequence[str]]
    ) -> Iterator[tuple[Sequence[str], Future[list[np.ndarray]]]]:
        """Batches of utterances with their samples, in order; the next few are read while one is worked on.

        What cannot be read is raised by ``result()`` of its batch.
        """
        pool, ahead = ThreadPoolExecutor(READERS), deque()
        try:
            for batch in batches:
                ahead.append((batch, pool.submit(lambda ids: [self.read(utt) for utt in ids], batch)))
                if len(ahead) > READERS:
                    yield ahead.popleft()
            while ahead:
                yield ahead.popleft()
        finally:
            pool.shutdown(cancel_futures=True)
