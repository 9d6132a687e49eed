"""What stage 0 learns by looking at every recording once: length, rate, and whether it can be used at all."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import NamedTuple

from soundstorm.data.data_dir import DataDir, Segment, Table, looked_for, parse_seconds, read_table, write_table
from soundstorm.data.data_dir_values import FORMAT_TOOL, audio_path, not_audio
from soundstorm.data.errors import InputError

TOLERANCE_SECONDS = 0.01  # one frame: times are rounded when they are written
MOST_CUT_SECONDS = (
    0.5  # what a segment may have beyond its recording, as in Kaldi; more is another recording's
)
MOST_AMPLITUDE = 8.0  # of float samples; mastering may go over 1, the scale of int16 is far beyond
LEAST_MISSING_BYTES = 64  # what an untidy header may be off by
STREAMED = 0x7FFFFF00  # sizes from here on say that the writer did not know them
MOST_FRAMES = 1 << 48  # libsndfile has 2^63 - 1 where a header, as of FLAC written to a pipe, has no length
NO_LENGTH = (
    f"its header has no length, as where an encoder wrote to a pipe; write it again with one by {FORMAT_TOOL}, "
    "in a recipe by --audio-format flac"
)
BLOCK_SAMPLES = 1 << 20


class Recording(NamedTuple):
    """What was found in a file."""

    seconds: float
    rate: int  # Hz
    peak: float | None  # largest absolute sample; None where samples were not looked at


class AudioFault(InputError):
    """A recording cannot be used; ``kind`` is a word or two to count it by."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


def format_seconds(seconds: float) -> str:
    """Write a duration so that the number of samples can be told from it at any usual rate."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def inspect(path: str, *, samples: bool = False) -> Recording:
    """Look at a file: its header, whether all is there that this promises, and where asked for all samples.

    Args:
        path: The file.
        samples: Read all samples. Those stored as floats, which may be anything, are read in any case.

    Returns:
        What was found.

    Raises:
        AudioFault: It cannot be used: unreadable, empty, several channels, truncated; or samples that are not
            finite, in another scale, or all the same.
    """
    import soundfile  # here, so that the other tools do not wait for it

    if not os.path.exists(path):
        raise AudioFault("missing", f"{path}: no such file{looked_for(path)}")
    try:
        with soundfile.SoundFile(path) as file:
            frames, rate = file.frames, file.samplerate
            if frames <= 0:
                raise AudioFault("empty", f"{path} has no samples")
            if frames > MOST_FRAMES:
                raise AudioFault("no length", f"{path}: {NO_LENGTH}")
            if file.channels != 1:
                raise AudioFault("channels", f"{path} has {file.channels} channels, expected 1")
            check_whole(file, path)
            looked = samples or file.subtype in ("FLOAT", "DOUBLE")
            return Recording(frames / rate, rate, _peak(file, path, samples) if looked else None)
    except (OSError, RuntimeError, TypeError) as error:
        raise AudioFault("unreadable", not_audio(path, error)) from error


def check_whole(file, path: str) -> None:
    """Compare what is there with what the header promises; libsndfile only tells of both."""
    for name, promised, there in re.findall(r"(\w+)\s*:\s*(\d+) \(should be (\d+)\)", file.extra_info):
        if LEAST_MISSING_BYTES < int(promised) - int(there) and int(promised) < STREAMED:
            raise AudioFault("truncated", f"{path} is truncated: its header promises {promised} bytes "
                                          f"({name}), there are {there}")  # fmt: skip
    if file.format == "OGG":
        with open(path, "rb") as stream:
            stream.seek(max(0, os.path.getsize(path) - (1 << 17)))
            end = stream.read()
        page = end[end.rfind(b"OggS") :]
        sizes = page[27 : 27 + page[26]] if len(page) > 26 else b""
        if len(page) < 27 or not page[5] & 4 or len(page) < 27 + len(sizes) + sum(sizes):
            raise AudioFault("truncated", f"{path} is truncated: its last page is missing")
    try:
        file.seek(file.frames - 1)
        last = len(file.read(1))
    except RuntimeError:
        last = 0
    if not last:
        raise AudioFault("truncated", f"{path} is truncated: it ends before the {file.frames} samples "
                                      "that its header promises")  # fmt: skip


def _peak(file, path: str, samples: bool) -> float:
    import numpy as np

    file.seek(0)
    high, low, left = -np.inf, np.inf, file.frames
    while left and len(block := file.read(min(left, BLOCK_SAMPLES))):
        if not np.isfinite(block).all():
            raise AudioFault(
                "not finite", f"{path}: {int((~np.isfinite(block)).sum())} samples are NaN or infinite"
            )
        high, low, left = max(high, block.max()), min(low, block.min()), left - len(block)
    if left:
        raise AudioFault("truncated", f"{path} is truncated: {left} samples of {file.frames} cannot be read")
    peak = max(high, -low)
    if peak > MOST_AMPLITUDE:
        raise AudioFault("scale", f"{path}: float samples reach {peak:.6g}, expected -1 to 1; divide them by "
                                  "32768 where they are in the scale of int16")  # fmt: skip
    if samples and high == low:
        raise AudioFault("silent", f"{path} is silent: all samples are {high:g}")
    return float(peak)


def inspect_all(wav_scp: Table, *, samples: bool = False) -> tuple[Table, Table]:
    """One job of get_utt2dur.sh.

    Args:
        wav_scp: Recording to path.
        samples: See `inspect`.

    Returns:
        Recording to ``<seconds> <rate> <peak, or a dash>``, and to ``<kind>: <reason>`` of unusable ones.
    """
    found, faults = {}, {}
    for name, path in wav_scp.items():
        try:
            if fault := audio_path(path):
                raise AudioFault("no path", fault)
            seconds, rate, peak = inspect(path, samples=samples)
        except AudioFault as fault:
            faults[name] = " ".join(f"{fault.kind}: {fault}".split())
        else:
            found[name] = f"{format_seconds(seconds)} {rate} {'-' if peak is None else f'{peak:.4g}'}"
    return found, faults


def is_known(directory: DataDir, *, samples: bool = False) -> bool:
    """Tell whether all recordings were looked at since the tables that name them were written."""
    tables = ["utt2dur", "utt2rate"] + ["reco2peak"] * samples
    if not all(map(directory.has, tables)):
        return False
    named = [directory.path / name for name in ("wav.scp", "segments") if directory.has(name)]
    oldest = min((directory.path / name).stat().st_mtime_ns for name in tables[1:])
    if any(path.stat().st_mtime_ns > oldest for path in named):
        return False
    keys = directory.key_table().keys()
    return all(directory.table(name).keys() == keys for name in tables[:2]) and (
        not samples or directory.table("reco2peak").keys() == directory.table("wav.scp").keys()
    )


def other_rates(found: dict[str, Recording]) -> Table:
    """Faults of the recordings with another rate than most."""
    rates = Counter(recording.rate for recording in found.values())
    usual = max(rates, key=lambda rate: (rates[rate], rate), default=0)
    return {
        name: f"rate: {recording.rate} Hz, where {rates[usual]} of {len(found)} recordings have {usual} Hz"
        for name, recording in found.items()
        if recording.rate != usual
    }


def cut_segments(
    segments: dict[str, Segment], found: dict[str, Recording]
) -> tuple[dict[str, float], Table, Table]:
    """Seconds of the segments of recordings that were looked at.

    Returns:
        Utterance to seconds; to how much is cut off, for those that end too late; and to what is wrong with
        those that are of no use.
    """
    seconds, cuts, faults = {}, {}, {}
    for utterance, (recording, start, end) in segments.items():
        if recording not in found:
            continue
        length = found[recording].seconds
        late = 0.0 if end is None else end - length
        if late > MOST_CUT_SECONDS or start >= length:
            faults[utterance] = (
                f"segment: from {start:g} s to {'the end' if end is None else f'{end:g} s'} of {recording}, "
                f"which is {length:g} s long"
            )
            continue
        if late > TOLERANCE_SECONDS:
            cuts[utterance] = f"ends {late:.3g} s after the end of {recording} and is cut there"
        seconds[utterance] = min(length, length if end is None else end) - start
    return seconds, cuts, faults


class Report(NamedTuple):
    """What was made of the tables of all jobs.

    Attributes:
        num_found: Recordings that can be used.
        missing: Utterances without a duration.
        expected: Utterances there are.
        faults, changes: Lines for people about what is left out, and about what is not as the tables had it.
        counts: How many are left out, by kind.
    """

    num_found: int
    missing: list[str]
    expected: int
    faults: list[str]
    changes: list[str]
    counts: Counter


def merge(directory: DataDir, found: dict[str, Recording], faults: Table, *, least: float) -> Report:
    """Write `utt2dur`, `reco2dur`, `utt2rate` and, where samples were looked at, `reco2peak`.

    A duration that `utt2dur` has already stays as it is unless the recording says otherwise.

    Args:
        directory: The data directory.
        found, faults: Of all recordings.
        least: Share of utterances that must be usable for anything to be written.

    Returns:
        What there is to say.
    """
    faults = {**faults, **other_rates(found)}
    found = {name: recording for name, recording in found.items() if name not in faults}
    segments = directory.segments()
    if not segments:
        segments = {name: Segment(name, 0.0, None) for name in directory.key_table()}
    seconds, cuts, wrong = cut_segments(segments, found)
    faults.update(wrong)
    written = read_table(directory.path / "utt2dur") if directory.has("utt2dur") else {}
    table, changes = {}, [f"{utterance} {cut}" for utterance, cut in cuts.items()]
    for utterance, value in seconds.items():
        table[utterance] = written.get(utterance, format_seconds(value))
        try:
            stated = parse_seconds(table[utterance])
        except ValueError:
            stated = 0.0
        if abs(stated - value) > TOLERANCE_SECONDS:
            changes.append(
                f"{utterance} lasts {format_seconds(value)} s, not {table[utterance]} as utt2dur had it"
            )
            table[utterance] = format_seconds(value)
    missing = [utterance for utterance in segments if utterance not in table]
    counts = Counter(reason.partition(":")[0] for reason in faults.values())
    lines = [f"{name}: {reason.partition(': ')[2]}" for name, reason in faults.items()]
    path = directory.path
    if found:
        write_table(
            path / "reco2dur", {name: format_seconds(recording.seconds) for name, recording in found.items()}
        )
    if len(table) >= least * len(segments):
        if all(recording.peak is not None for recording in found.values()):
            write_table(
                path / "reco2peak", {name: f"{recording.peak:.4g}" for name, recording in found.items()}
            )
        write_table(path / "utt2dur", table)
        # Last: with it the set is not looked at again.
        write_table(path / "utt2rate", {name: str(found[segments[name].recording].rate) for name in table})
    return Report(len(found), missing, len(segments), lines, changes, counts)


def read_found(parts: list[str]) -> dict[str, Recording]:
    """The tables of the jobs, as `inspect_all` made them."""
    found = {}
    for part in parts:
        for name, value in read_table(part).items():
            seconds, rate, peak = value.split()
            found[name] = Recording(float(seconds), int(rate), None if peak == "-" else float(peak))
    return found
