"""Checking a data directory: everything a later stage relies on, told at once and with the remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from soundstorm.data import data_dir_values as values
from soundstorm.data.data_dir import (
    FRAME_TABLES,
    ID_PATTERN,
    KNOWN,
    KNOWN_FILES,
    RECORDING,
    SPEAKER,
    SPEAKER_FIRST,
    UTTERANCE,
    DataDir,
    PathLike,
    Table,
    first_of,
    invert,
    parse_seconds,
    parse_segment,
    read_lines,
    read_segments,
    read_table,
    to_table,
)
from soundstorm.data.durations import TOLERANCE_SECONDS
from soundstorm.data.errors import InputError

CHECKED_FIRST = ("utt2spk", "spk2utt", "text", "segments", "wav.scp")


class DataDirError(InputError):
    """A data directory has faults; the message has one line for each."""


@dataclass(frozen=True)
class Summary:
    """What a valid directory holds.

    Attributes:
        num_utterances: Utterances.
        num_speakers: Speakers.
        hours: Hours of speech; None where neither `utt2dur` nor `segments` tells.
        warnings: What is allowed but unusual.
    """

    num_utterances: int
    num_speakers: int
    hours: float | None
    warnings: tuple[str, ...] = ()


def validate_data_dir(
    path: PathLike,
    *,
    text: bool = True,
    wav: bool = True,
    spk_sort: bool = True,
    non_print: bool = False,
    paths: bool = True,
    require: Collection[str] = (),
) -> Summary:
    """Check a data directory; the first file with faults ends the search, with all its faults.

    Args:
        path: The directory.
        text: Whether `text` must exist; where it exists, it is checked in any case.
        wav: Whether `wav.scp` must exist.
        spk_sort: Whether `utt2spk` must also be sorted by speaker.
        non_print: Whether transcripts may have characters that do not print.
        paths: Whether `wav.scp` must name files; `utils/format_wav_scp.sh` makes such of commands and archives.
        require: Further files that must exist.

    Returns:
        What the directory holds.

    Raises:
        FileNotFoundError: There is no such directory, or no file that must be there.
        DataDirError: A file has faults.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"no such directory {root}")
    warnings = []

    utt2spk = _load(root, "utt2spk")
    spk2utt_pairs = _load(root, "spk2utt")
    _check_values(root / "utt2spk", utt2spk, values.one_word)
    if len(set(utt2spk.values())) == 1 and len(utt2spk) > 1:
        warnings.append(
            f"{root}/utt2spk has one speaker only: right if all of it is one voice; where voices are not known, use "
            "the utterance as speaker"
        )
    if spk_sort:
        _check_speaker_sorted(root / "utt2spk", utt2spk)
    _check_inverse(root, utt2spk, spk2utt_pairs)
    utterances, speakers = set(utt2spk), set(utt2spk.values())

    if text or (root / "text").exists():
        transcripts = _load(root, "text", remedy="if this is by design, specify --no-text")
        _check_values(root / "text", transcripts, lambda value: values.transcript(value, non_print))
        _check_keys(root, "text", transcripts, utterances, "utt2spk")

    recordings = _check_recordings(root, utterances, wav=wav, files=paths)

    for name in require:
        if not (root / name).is_file():
            raise FileNotFoundError(f"no such file {root / name}, which is required here")
    for known in KNOWN_FILES:
        if known.name in CHECKED_FIRST or not (root / known.name).exists():
            continue
        table = _load(root, known.name)
        _check_values(root / known.name, table, values.CHECKS.get(known.name, values.not_empty))
        expected, reference = {
            UTTERANCE: (utterances, "utt2spk"),
            SPEAKER: (speakers, "spk2utt"),
            RECORDING: (recordings, "wav.scp"),
        }[known.key]
        if expected is not None:
            _check_keys(root, known.name, table, expected, reference, whole=known.restricts and known.whole)
    for kind, frames in FRAME_TABLES.items():
        if (root / f"{kind}.scp").exists() and (root / frames).exists():
            tokens = read_table(root / f"{kind}.scp")
            remedy = f"remove both: rm {root}/{kind}.scp {root}/{frames}; the stage of the tokens makes them again"
            _check_keys(root, frames, read_table(root / frames), tokens, f"{kind}.scp", remedy=remedy)
    _check_segment_ends(root)
    if (root / "text").exists():
        warnings += _odd_paces(root, transcripts)
    return Summary(len(utterances), len(speakers), _hours(root), tuple(warnings))


def check_audio_paths(root: PathLike) -> None:
    """Refuse a `wav.scp` with values that are no paths of files, before anything is read by them.

    Raises:
        DataDirError: It has commands, places in archives and the like.
    """
    path = Path(root, "wav.scp")
    _check_values(path, read_table(path), values.audio_path)


def _fail(faults: list[str]) -> None:
    if faults:
        raise DataDirError("\n".join(first_of(faults)))


def _load(root: Path, name: str, *, remedy: str = "") -> Table:
    """Read a file that must be there, not empty, ending with a newline, sorted and with ids as keys."""
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(f"no such file {path}" + (f" ({remedy})" if remedy else ""))
    try:
        pairs = read_lines(path)
    except ValueError as error:
        raise DataDirError(str(error)) from None
    if not pairs:
        raise DataDirError(f"{path} is empty")
    faults = []
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read() != b"\n":
            faults.append(f"{path}: the last line does not end with a newline (run utils/fix_data_dir.sh {root})")
    previous = ""
    for number, (key, _) in enumerate(pairs, start=1):
        if not ID_PATTERN.fullmatch(key):
            faults.append(
                f"{path}, line {number}: id {key!r} has other characters than A-Z a-z 0-9 . _ + -; "
                "rename it in local/data.sh"
            )
        if number > 1 and key == previous and not KNOWN[name].repeated:
            faults.append(f"{path}, line {number}: {key} is there a second time")
        if key < previous:
            faults.append(
                f"{path}, line {number}: not sorted, {key} comes after {previous} "
                f"(sort with LC_ALL=C, or run utils/fix_data_dir.sh {root})"
            )
        previous = key
    _fail(faults)
    return to_table(path, pairs)


def _check_values(path: Path, table: Table, fault: Callable[[str], str]) -> None:
    _fail([f"{path}, {key}: {message}" for key, value in table.items() if (message := fault(value))])


def _check_keys(
    root: Path,
    name: str,
    got: Iterable[str],
    expected: Collection[str],
    reference: str,
    *,
    whole: bool = True,
    remedy: str = "",
) -> None:
    """Require that a file has exactly the keys of another, or if it need not be whole, no others."""
    got = set(got)
    missing, extra = sorted(set(expected) - got) if whole else [], sorted(got - set(expected))
    if missing or extra:
        remedy = remedy or f"run utils/fix_data_dir.sh {root}, or make {name} again"
        _fail(
            [
                f"{root}/{name} and {root}/{reference} do not list the same keys: they have {len(got)} "
                f"and {len(expected)} ({remedy})"
            ]
            + [f"{key} is in {reference} but not in {name}" for key in missing]
            + [f"{key} is in {name} but not in {reference}" for key in extra]
        )


def _check_speaker_sorted(path: Path, utt2spk: Table) -> None:
    faults, previous = [], ""
    for utterance, speaker in utt2spk.items():
        if speaker < previous:
            faults.append(
                f"{path}: sorted by utterance but not by speaker: {utterance} of {speaker} comes after "
                f"{previous}; {SPEAKER_FIRST}; or specify --no-spk-sort, in a recipe "
                "--validate-args --no-spk-sort"
            )
        previous = speaker
    _fail(faults)


def _check_inverse(root: Path, utt2spk: Table, spk2utt: Table) -> None:
    faults = []
    remedy = f"run utils/utt2spk_to_spk2utt.py {root}/utt2spk > {root}/spk2utt"
    expected = invert(utt2spk)
    for speaker in sorted(set(expected) | set(spk2utt)):
        got, want = spk2utt.get(speaker), expected.get(speaker)
        if got is None or want is None or got.split() != want.split():
            faults.append(
                f"{root}/spk2utt is not the inverse of utt2spk: {speaker} has "
                f"{'no line' if got is None else repr(values.shorten(got))}, expected "
                f"{'none' if want is None else repr(values.shorten(want))}; {remedy}"
            )
    _fail(faults)


def _check_recordings(root: Path, utterances: set[str], *, wav: bool, files: bool) -> set[str] | None:
    """Check `segments` and `wav.scp`; returns the recordings, or None where there is no `wav.scp`."""
    segments, wav_scp = root / "segments", root / "wav.scp"
    if segments.exists() and not wav_scp.exists():
        raise FileNotFoundError(f"no such file {wav_scp}, but there is {segments}, which cuts its recordings")
    if not wav_scp.exists():
        if wav:
            raise FileNotFoundError(f"no such file {wav_scp} (if this is by design, specify --no-wav)")
        return None
    paths = _load(root, "wav.scp")
    _check_values(wav_scp, paths, values.audio_path if files else values.not_empty)
    if not segments.exists():
        _check_keys(root, "wav.scp", paths, utterances, "utt2spk")
        return set(paths)
    table = _load(root, "segments")
    _check_values(segments, table, values.segment)
    _check_keys(root, "segments", table, utterances, "utt2spk")
    used = {parse_segment(value).recording for value in table.values()}
    missing, unused = sorted(used - set(paths)), sorted(set(paths) - used)
    _fail(
        [f"{segments}: recording {name} is not in {wav_scp}" for name in missing]
        + [f"{wav_scp}: no segment uses {name} (run utils/fix_data_dir.sh {root})" for name in unused]
    )
    return set(paths)


def _check_segment_ends(root: Path) -> None:
    """Segments end with their recordings, or `utt2dur` says that they are cut there."""
    if not (root / "segments").exists() or not (root / "reco2dur").exists():
        return
    lengths = {name: parse_seconds(value) for name, value in read_table(root / "reco2dur").items()}
    claimed = DataDir(root).durations() or {}
    faults = []
    for utterance, (recording, start, end) in read_segments(root / "segments").items():
        seconds = claimed.get(utterance, 0.0 if end is None else end - start)
        if start + seconds > lengths.get(recording, start + seconds) + TOLERANCE_SECONDS:
            faults.append(
                f"{root}/segments, {utterance}: ends at {start + seconds:.6g} s but recording {recording} is "
                f"{lengths[recording]} s long according to reco2dur; make utt2dur again: "
                f"rm {root}/utt2dur && utils/get_utt2dur.sh {root}"
            )
    _fail(faults)


def _odd_paces(root: Path, transcripts: Table) -> list[str]:
    """Name the transcripts with many times more, or fewer, letters a second than most: they are of other audio."""
    seconds = DataDir(root).durations()
    if not seconds:
        return []
    paces = {name: sum(map(str.isalnum, words)) / seconds[name] for name, words in transcripts.items()}
    usual = sorted(paces.values())[len(paces) // 2]
    slowest, fastest = values.LEAST_TIMES_PACE * usual, max(values.MOST_PACE, values.MOST_TIMES_PACE * usual)
    odd = [
        f"{name} has {pace:.3g} letters a second"
        for name, pace in paces.items()
        if not slowest <= pace <= fastest
    ]
    if not odd:
        return []
    title = (
        f"{root}/text: {len(odd)} of {len(paces)} transcripts do not fit their audio (most have {usual:.3g} "
    )
    return [title + f"letters a second): {', '.join(first_of(odd))}"]


def _hours(root: Path) -> float | None:
    seconds = DataDir(root).durations()
    return None if seconds is None else sum(seconds.values()) / 3600
