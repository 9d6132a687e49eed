"""Checking a data directory: everything a later stage relies on, told at once and with the remedy."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
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
    PathLike,
    first_of,
    in_step,
    invert,
    iterate_lines,
    parse_seconds,
    parse_segment,
    read_table,
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

    num_utterances, previous, unsorted = 0, "", []
    for utterance, speaker in _rows(root, "utt2spk", values.one_word):
        num_utterances += 1
        if spk_sort and speaker < previous:
            unsorted.append(
                f"{root}/utt2spk: sorted by utterance but not by speaker: {utterance} of {speaker} comes after "
                f"{previous}; {SPEAKER_FIRST}; or specify --no-spk-sort, in a recipe "
                "--validate-args --no-spk-sort"
            )
        previous = speaker
    _fail(unsorted)
    num_speakers = _check_inverse(root, spk_sort)
    if num_speakers == 1 and num_utterances > 1:
        warnings.append(
            f"{root}/utt2spk has one speaker only: right if all of it is one voice; where voices are not known, use "
            "the utterance as speaker"
        )

    if text or (root / "text").exists():
        remedy = "if this is by design, specify --no-text"
        rows = _rows(root, "text", lambda value: values.transcript(value, non_print), remedy=remedy)
        _check_keys(root, "text", rows, "utt2spk")

    _check_recordings(root, wav=wav, files=paths)

    for name in require:
        if not (root / name).is_file():
            raise FileNotFoundError(f"no such file {root / name}, which is required here")
    for known in KNOWN_FILES:
        if known.name in CHECKED_FIRST or not (root / known.name).exists():
            continue
        rows = _rows(root, known.name, values.CHECKS.get(known.name, values.not_empty))
        reference = {UTTERANCE: "utt2spk", SPEAKER: "spk2utt", RECORDING: "wav.scp"}[known.key]
        if (root / reference).exists():
            _check_keys(root, known.name, rows, reference, whole=known.restricts and known.whole)
        else:
            _pass(rows)
    for kind, frames in FRAME_TABLES.items():
        if (root / f"{kind}.scp").exists() and (root / frames).exists():
            remedy = f"remove both: rm {root}/{kind}.scp {root}/{frames}; the stage of the tokens makes them again"
            _check_keys(root, frames, iterate_lines(root / frames), f"{kind}.scp", remedy=remedy)
    _check_segment_ends(root)
    if (root / "text").exists():
        warnings += _odd_paces(root)
    known_seconds = array("d", (seconds for _, seconds in _durations(root)))
    hours = sum(known_seconds) / 3600 if len(known_seconds) == num_utterances else None
    return Summary(num_utterances, num_speakers, hours, tuple(warnings))


def check_audio_paths(root: PathLike) -> None:
    """Refuse a `wav.scp` with values that are no paths of files, before anything is read by them.

    Raises:
        DataDirError: It has commands, places in archives and the like.
    """
    path = Path(root, "wav.scp")
    _fail([f"{path}, {key}: {message}" for key, value in iterate_lines(path) if (message := values.audio_path(value))])


def _fail(faults: list[str]) -> None:
    if faults:
        raise DataDirError("\n".join(first_of(faults)))


def _rows(root: Path, name: str, fault: Callable[[str], str], *, remedy: str = "") -> Iterator[tuple[str, str]]:
    """The lines of a file that must be there, those of one key as one; its faults are told when all have passed."""
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(f"no such file {path}" + (f" ({remedy})" if remedy else ""))
    rows = _lines(root, name)
    if KNOWN[name].repeated:
        rows = ((key, "\n".join(value for _, value in lines)) for key, lines in groupby(rows, itemgetter(0)))
    faults = []
    for key, value in rows:
        if message := fault(value):
            faults.append(f"{path}, {key}: {message}")
        yield key, value
    _fail(faults)


def _lines(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """The lines of a file, which must not be empty, end with a newline, be sorted and have ids as keys."""
    path, repeated, faults, previous = root / name, KNOWN[name].repeated, [], ""
    try:
        for number, (key, value) in enumerate(iterate_lines(path), start=1):
            if not ID_PATTERN.fullmatch(key):
                faults.append(
                    f"{path}, line {number}: id {key!r} has other characters than A-Z a-z 0-9 . _ + -; "
                    "rename it in local/data.sh"
                )
            if key == previous and not repeated:
                faults.append(f"{path}, line {number}: {key} is there a second time")
            if key < previous:
                faults.append(
                    f"{path}, line {number}: not sorted, {key} comes after {previous} "
                    f"(sort with LC_ALL=C, or run utils/fix_data_dir.sh {root})"
                )
            previous = key
            yield key, value
    except ValueError as error:
        raise DataDirError(str(error)) from None
    if not previous:
        raise DataDirError(f"{path} is empty")
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read() != b"\n":
            faults.insert(
                0, f"{path}: the last line does not end with a newline (run utils/fix_data_dir.sh {root})"
            )
    _fail(faults)


def _pass(rows: Iterable[tuple[str, str]]) -> None:
    """Have the faults of rows told that nothing else is asked of."""
    for _ in rows:
        pass


def _check_keys(
    root: Path,
    name: str,
    rows: Iterable[tuple[str, str]],
    reference: str,
    *,
    whole: bool = True,
    remedy: str = "",
) -> None:
    """Require that a file has exactly the keys of another, or if it need not be whole, no others."""
    missing, extra, sizes = [], [], [0, 0]
    for key, got, expected in in_step(rows, iterate_lines(root / reference)):
        sizes[0] += got is not None
        sizes[1] += expected is not None
        if got is None and whole:
            missing.append(f"{key} is in {reference} but not in {name}")
        elif expected is None:
            extra.append(f"{key} is in {name} but not in {reference}")
    if missing or extra:
        remedy = remedy or f"run utils/fix_data_dir.sh {root}, or make {name} again"
        title = f"{root}/{name} and {root}/{reference} do not list the same keys: they have {sizes[0]} and {sizes[1]}"
        _fail([f"{title} ({remedy})", *missing, *extra])


def _check_inverse(root: Path, spk_sort: bool) -> int:
    """Require that `spk2utt` is the inverse of `utt2spk`; returns the number of speakers."""
    faults, num_speakers = [], 0
    remedy = f"run utils/utt2spk_to_spk2utt.py {root}/utt2spk > {root}/spk2utt"
    if spk_sort:
        speakers = groupby(iterate_lines(root / "utt2spk"), itemgetter(1))
        expected = ((speaker, " ".join(utterance for utterance, _ in lines)) for speaker, lines in speakers)
    else:
        expected = sorted(invert(read_table(root / "utt2spk")).items())
    for speaker, got, want in in_step(_rows(root, "spk2utt", lambda _: ""), expected):
        num_speakers += want is not None
        if got is None or want is None or got.split() != want.split():
            faults.append(
                f"{root}/spk2utt is not the inverse of utt2spk: {speaker} has "
                f"{'no line' if got is None else repr(values.shorten(got))}, expected "
                f"{'none' if want is None else repr(values.shorten(want))}; {remedy}"
            )
    _fail(faults)
    return num_speakers


def _check_recordings(root: Path, *, wav: bool, files: bool) -> None:
    """Check `segments` and `wav.scp`."""
    segments, wav_scp = root / "segments", root / "wav.scp"
    if segments.exists() and not wav_scp.exists():
        raise FileNotFoundError(f"no such file {wav_scp}, but there is {segments}, which cuts its recordings")
    if not wav_scp.exists():
        if wav:
            raise FileNotFoundError(f"no such file {wav_scp} (if this is by design, specify --no-wav)")
        return
    rows = _rows(root, "wav.scp", values.audio_path if files else values.not_empty)
    if not segments.exists():
        _check_keys(root, "wav.scp", rows, "utt2spk")
        return
    _pass(rows)
    _check_keys(root, "segments", _rows(root, "segments", values.segment), "utt2spk")
    used = sorted({parse_segment(value).recording for _, value in iterate_lines(segments)})
    missing, unused = [], []
    for name, path, needed in in_step(iterate_lines(wav_scp), ((name, "") for name in used)):
        if path is None:
            missing.append(f"{segments}: recording {name} is not in {wav_scp}")
        elif needed is None:
            unused.append(f"{wav_scp}: no segment uses {name} (run utils/fix_data_dir.sh {root})")
    _fail(missing + unused)


def _check_segment_ends(root: Path) -> None:
    """Segments end with their recordings, or `utt2dur` says that they are cut there."""
    if not (root / "segments").exists() or not (root / "reco2dur").exists():
        return
    lengths = {name: parse_seconds(value) for name, value in iterate_lines(root / "reco2dur")}
    claimed = iterate_lines(root / "utt2dur") if (root / "utt2dur").exists() else ()
    faults = []
    for utterance, value, claim in in_step(iterate_lines(root / "segments"), claimed):
        recording, start, end = parse_segment(value)
        seconds = parse_seconds(claim) if claim else 0.0 if end is None else end - start
        if start + seconds > lengths.get(recording, start + seconds) + TOLERANCE_SECONDS:
            faults.append(
                f"{root}/segments, {utterance}: ends at {start + seconds:.6g} s but recording {recording} is "
                f"{lengths[recording]} s long according to reco2dur; make utt2dur again: "
                f"rm {root}/utt2dur && utils/get_utt2dur.sh {root}"
            )
    _fail(faults)


def _durations(root: Path) -> Iterator[tuple[str, float]]:
    """Utterances and their seconds, from `utt2dur` or else `segments`, as far as these tell."""
    if (root / "utt2dur").exists():
        yield from ((utterance, parse_seconds(value)) for utterance, value in iterate_lines(root / "utt2dur"))
    elif (root / "segments").exists():
        for utterance, value in iterate_lines(root / "segments"):
            _, start, end = parse_segment(value)
            if end is not None:
                yield utterance, end - start


def _paces(root: Path) -> Iterator[tuple[str, float]]:
    """Letters a second of the transcripts of known length."""
    for name, words, seconds in in_step(iterate_lines(root / "text"), _durations(root)):
        if seconds is not None:
            yield name, sum(map(str.isalnum, words)) / seconds


def _odd_paces(root: Path) -> list[str]:
    """Name the transcripts with many times more, or fewer, letters a second than most: they are of other audio."""
    paces = sorted(array("d", (pace for _, pace in _paces(root))))
    if not paces:
        return []
    usual = paces[len(paces) // 2]
    slowest, fastest = values.LEAST_TIMES_PACE * usual, max(values.MOST_PACE, values.MOST_TIMES_PACE * usual)
    odd = [f"{name} has {pace:.3g} letters a second" for name, pace in _paces(root) if not slowest <= pace <= fastest]
    if not odd:
        return []
    title = (
        f"{root}/text: {len(odd)} of {len(paces)} transcripts do not fit their audio (most have {usual:.3g} "
    )
    return [title + f"letters a second): {', '.join(first_of(odd))}"]
