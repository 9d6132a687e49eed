"""Speech recordings as float arrays, with every way a file can be wrong turned into a clear message."""

import io
from copy import copy
from pathlib import Path

import numpy as np

from soundstorm.data.data_dir import parse_seconds, read_segments, read_table, write_bytes

Seconds = float
BLOCK_SAMPLES = 1 << 20  # read at a time: a damaged header may promise more than fits in memory


def num_samples(seconds: Seconds, sample_rate: int) -> int:
    """Samples in a duration: the one rounding rule of the project (half up)."""
    return int(np.floor(seconds * sample_rate + 0.5))


def resample_down(wav: np.ndarray, sample_rate: int, wanted: int) -> np.ndarray:
    """Samples ``(S,)`` at a lower rate; as they are where the rates are the same."""
    if wanted == sample_rate:
        return wav
    import soxr

    return np.asarray(soxr.resample(wav, sample_rate, wanted), dtype=np.float32)


def read_audio(
    path: str | Path,
    sample_rate: int,
    *,
    start: Seconds = 0.0,
    end: Seconds | None = None,
    lower: bool = False,
) -> np.ndarray:
    """Read one mono recording, or the part of it from ``start`` to ``end`` seconds.

    Args:
        path: The file.
        sample_rate: Hz that is needed.
        start, end: Which part.
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
        raise FileNotFoundError(f"{path}: no such recording; check the paths in wav.scp")
    try:
        with soundfile.SoundFile(str(path)) as recording:
            rate = recording.samplerate
            if rate < sample_rate or rate != sample_rate and not lower:
                raise ValueError(
                    f"{path}: sample rate is {recording.samplerate} Hz but {sample_rate} Hz is needed; "
                    "resample the corpus in local/data.sh (see egs/TEMPLATE/README.md)"
                )
            if recording.channels != 1:
                raise ValueError(
                    f"{path}: {recording.channels} channels but 1 is needed; choose or mix channels in local/data.sh"
                )
            first = num_samples(start, rate)
            last = recording.frames if end is None else min(num_samples(end, rate), recording.frames)
            if last <= first:
                raise ValueError(
                    f"{path}: no samples between {start:g} s and {'the end' if end is None else f'{end:g} s'} "
                    f"(the recording has {recording.frames / rate:g} s); remove or repair it"
                )
            recording.seek(first)
            wav = _read_blocks(recording, last - first)
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read as audio ({error}); remove or repair it") from error
    if len(wav) < last - first:
        raise ValueError(
            f"{path}: {len(wav)} samples could be read where the header promises {last - first}; the file is truncated"
        )
    if not np.isfinite(wav).all():
        raise ValueError(f"{path}: {int((~np.isfinite(wav)).sum())} samples are NaN or infinite; remove or repair it")
    return resample_down(wav, rate, sample_rate)


def _read_blocks(recording, number: int) -> np.ndarray:
    """The next ``number`` samples of an open file, fewer where it ends."""
    blocks = [np.zeros(0, np.float32)]
    while number > 0 and len(block := recording.read(min(number, BLOCK_SAMPLES), dtype="float32")):
        blocks.append(block)
        number -= len(block)
    return blocks[1] if len(blocks) == 2 else np.concatenate(blocks)


def write_audio(path: str | Path, wav: np.ndarray, sample_rate: int) -> None:
    """Write ``(S,)`` float samples as 16-bit WAV, whole or not at all."""
    import soundfile

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # libsndfile does not say that a disk is full
    soundfile.write(content, np.clip(wav, -1.0, 1.0), sample_rate, subtype="PCM_16", format="WAV")
    write_bytes(path, content.getvalue())


def _parts(data_dir: Path, keys: list[str] | None) -> dict[str, tuple[str, Seconds, Seconds | None]]:
    """Recording, start and end of each utterance, or of those asked for."""
    path = data_dir / "segments"
    if not path.exists():
        recordings = read_table(data_dir / "wav.scp", keys)
        return {utt: (recording, 0.0, None) for utt, recording in recordings.items()}
    recordings, segments = read_table(data_dir / "wav.scp"), read_segments(path, keys)
    for utt, segment in segments.items():
        if segment.recording not in recordings:
            raise ValueError(
                f"{path}: recording {segment.recording} of {utt} is not in wav.scp; "
                f"run utils/fix_data_dir.sh {data_dir}"
            )
    return {utt: (recordings[segment.recording], segment.start, segment.end) for utt, segment in segments.items()}


def _read_durations(path: Path, keys: list[str] | None) -> dict[str, Seconds]:
    """``utt2dur``, or what it says of those asked for; empty where there is none."""
    durations = {}
    for utt, value in (read_table(path, keys) if path.exists() else {}).items():
        try:
            durations[utt] = parse_seconds(value)
        except ValueError as error:
            raise ValueError(f"{path}: {utt}: {error}; make it again with utils/get_utt2dur.sh") from error
        if durations[utt] <= 0:
            raise ValueError(f"{path}: {utt} lasts {value} s, expected more than 0; run utils/fix_data_dir.sh")
    return durations


class Utterances:
    """The utterances of a data directory, read from ``wav.scp`` and, where there is one, ``segments``."""

    def __init__(
        self, data_dir: str | Path, sample_rate: int, keys: list[str] | None = None, *, lower: bool = False
    ):
        """
        Args:
            data_dir: a validated data directory.
            sample_rate: Hz that every recording must have.
            keys: use these utterances only, in this order; all of them by default.
            lower: recordings may have a higher rate and are brought down, see :func:`read_audio`.
        """
        self.data_dir = Path(data_dir)
        self.sample_rate, self.lower = sample_rate, lower
        self._parts = _parts(self.data_dir, keys)
        self._utt2dur = _read_durations(self.data_dir / "utt2dur", keys)
        self.ids = list(self._parts) if keys is None else list(keys)
        unknown = [utt for utt in self.ids if utt not in self._parts]
        if unknown:
            raise ValueError(f"{self.data_dir}: no utterance {unknown[0]!r} (and {len(unknown) - 1} more like it)")
        if not self.ids:
            raise ValueError(f"{self.data_dir}: no utterances")
        self.durations = np.array([self._duration(utt) for utt in self.ids])

    def _duration(self, utt: str) -> Seconds:
        if utt in self._utt2dur:
            return self._utt2dur[utt]
        import soundfile

        path, start, end = self._parts[utt]
        if end is not None:
            return end - start
        try:
            return soundfile.info(path).duration
        except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, TypeError) as error:
            raise ValueError(
                f"{self.data_dir / 'wav.scp'}: {path!r} of {utt} cannot be read as audio ({error}); remove or repair it"
            ) from error

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, ids: list[str]) -> "Utterances":
        """Some of these utterances, in this order, without reading the tables again."""
        part = copy(self)
        part.ids = list(ids)
        part.durations = np.array([self._duration(utt) for utt in ids])
        return part

    def read(self, utt: str) -> np.ndarray:
        """Samples of one utterance, float32 ``(S,)``."""
        path, start, end = self._parts[utt]
        return read_audio(path, self.sample_rate, start=start, end=end, lower=self.lower)
