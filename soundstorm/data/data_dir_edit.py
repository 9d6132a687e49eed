"""A data directory in memory, and how one is cut down and fixed.

The tools read a directory, change it here with pure functions and write it in one go, so that an interrupted
or refused run leaves everything as it was. Directories made of others are in `data_dir_derive.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from soundstorm.data.data_dir import (
    KNOWN,
    KNOWN_FILES,
    RECORDING,
    SPEAKER,
    SPEAKER_FIRST,
    UTTERANCE,
    KnownFile,
    PathLike,
    Table,
    format_table,
    invert,
    naming,
    parse_seconds,
    parse_segment,
    read_lines,
)
from soundstorm.data.data_dir_replace import staged
from soundstorm.data.errors import InputError


@dataclass
class Contents:
    """What a data directory holds, but for `spk2utt`, which always follows from `utt2spk`.

    Attributes:
        tables: File name to table.
        sidecars: Name to content of the files that describe a table.
        extra: Files that only the caller knows, by name.
        repairs: What reading has repaired, a line each.
    """

    tables: dict[str, Table]
    sidecars: dict[str, str] = field(default_factory=dict)
    extra: dict[str, KnownFile] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)

    def key_of(self, name: str) -> str:
        """Tell what the keys of a file name here: without `segments` a recording is an utterance."""
        key = (KNOWN.get(name) or self.extra[name]).key
        return UTTERANCE if key == RECORDING and "segments" not in self.tables else key

    def restricts(self, name: str) -> bool:
        """Tell whether fixing removes what a file lacks."""
        return (KNOWN.get(name) or self.extra[name]).restricts

    def files(self) -> dict[str, str]:
        """Make the content of every file."""
        tables = {**self.tables, "spk2utt": invert(dict(sorted(self.tables["utt2spk"].items())))}
        return {**{name: format_table(name, table) for name, table in tables.items()}, **self.sidecars}


def read_contents(
    root: PathLike, *, utt_extra: Iterable[str] = (), spk_extra: Iterable[str] = ()
) -> Contents:
    """Read every known file of a directory, in whatever order its lines are.

    Args:
        root: The directory.
        utt_extra: Further files whose keys are utterances; those that do not exist are left out.
        spk_extra: Further files whose keys are speakers.

    Returns:
        The contents. A line that is there twice counts once, and byte order marks are removed; both are
        `repairs`.

    Raises:
        FileNotFoundError: There is no such directory or no `utt2spk` in it.
        ValueError: A key has two different values, or a file is malformed.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no such directory {root}")
    if not (root / "utt2spk").is_file():
        raise FileNotFoundError(f"no such file {root}/utt2spk; every data directory must have one")
    extra = {name: KnownFile(name, UTTERANCE) for name in utt_extra}
    extra.update({name: KnownFile(name, SPEAKER) for name in spk_extra})
    contents = Contents({}, extra=extra)
    for known in (*KNOWN_FILES, *extra.values()):
        if known.name == "spk2utt" or not (root / known.name).is_file():
            continue
        contents.tables[known.name] = _without_repeats(root / known.name, known, contents.repairs)
        if known.sidecar and (root / known.sidecar).is_file():
            contents.sidecars[known.sidecar] = (root / known.sidecar).read_text(encoding="utf-8")
    return contents


def _without_repeats(path: Path, known: KnownFile, repairs: list[str]) -> Table:
    table: Table = {}
    for number, (key, value) in enumerate(read_lines(path, repairs), start=1):
        if key not in table:
            table[key] = value
        elif known.repeated:
            table[key] += "\n" + value
        elif table[key] != value:
            raise InputError(
                f"{path}: {key} has two values, {table[key]!r} and {value!r}; delete the line that is wrong"
            )
        else:
            repairs.append(f"{path}, line {number}: dropped, the same as an earlier line of {key}")
    return dict(sorted(table.items()))


def keep(contents: Contents, utterances: Collection[str]) -> Contents:
    """Cut all files down to some utterances and to the speakers and recordings they still use.

    Args:
        contents: The directory.
        utterances: Those to keep; unknown ones do not matter.

    Returns:
        The smaller directory.
    """
    kept = set(utterances) & set(contents.tables["utt2spk"])
    speakers = {contents.tables["utt2spk"][utterance] for utterance in kept}
    segments = contents.tables.get("segments", {})
    recordings = {segments[utterance].split()[0] for utterance in kept if segments.get(utterance)}
    wanted = {UTTERANCE: kept, SPEAKER: speakers, RECORDING: recordings}
    tables = {
        name: {key: value for key, value in table.items() if key in wanted[contents.key_of(name)]}
        for name, table in contents.tables.items()
    }
    return Contents(tables, contents.sidecars, contents.extra)


def is_usable(name: str, value: str) -> bool:
    """Tell whether an entry can stay: an empty transcript, segment or length counts as missing."""
    try:
        if name == "segments":
            parse_segment(value)
        elif name in ("utt2dur", "utt2num_frames", "utt2num_acoustic_frames"):
            return parse_seconds(value) > 0
    except ValueError:
        return False
    return bool(value)


def fix_contents(contents: Contents) -> Contents:
    """Keep the utterances that every restricting file has.

    Args:
        contents: The directory as it is.

    Returns:
        The directory without the others.

    Raises:
        ValueError: Nothing is left, or `utt2spk` is not sorted by speaker, which only its author can repair.
    """
    tables = {
        name: {key: value for key, value in table.items() if is_usable(name, value)}
        for name, table in contents.tables.items()
    }
    contents = Contents(tables, contents.sidecars, contents.extra)
    utt2spk, segments = tables["utt2spk"], tables.get("segments", {})
    utterances = set(utt2spk)
    for name, table in tables.items():
        key = contents.key_of(name)
        if not contents.restricts(name):
            continue
        if key == UTTERANCE:
            utterances &= set(table)
        elif key == SPEAKER:
            utterances = {utterance for utterance in utterances if utt2spk[utterance] in table}
        else:
            utterances = {
                utterance
                for utterance in utterances
                if utterance in segments and segments[utterance].split()[0] in table
            }
    if not utterances:
        sizes = ", ".join(f"{name} has {len(table)} lines" for name, table in tables.items())
        raise InputError(f"no utterance is in all files, nothing would be left: {sizes}")
    fixed = keep(contents, utterances)
    speakers = list(fixed.tables["utt2spk"].values())
    for before, (utterance, speaker) in zip(["", *speakers], fixed.tables["utt2spk"].items()):
        if speaker < before:
            raise InputError(
                f"utt2spk is sorted by utterance but not by speaker, fix this yourself: "
                f"{utterance} of {speaker} "
                f"comes after {before}; {SPEAKER_FIRST}"
            )
    return fixed


def reasons_of(before: Contents, after: Contents) -> list[str]:
    """Name what fixing has dropped, and why.

    Args:
        before: A directory.
        after: What `fix_contents` made of it.

    Returns:
        A line for each utterance, speaker and recording that is gone.
    """
    # Kind -> name -> the files that have it; a dict keeps order.
    rows = {UTTERANCE: {}, SPEAKER: {}, RECORDING: {}}
    for name, table in before.tables.items():
        for key in table.keys() - after.tables[name].keys():
            rows[before.key_of(name)].setdefault(key, []).append(name)
    lines = [f"utterance {utterance}: {_reason(before, utterance)}" for utterance in sorted(rows[UTTERANCE])]
    for kind in (SPEAKER, RECORDING):
        gone = sorted(rows[kind].items())
        lines += [f"{kind} {key} of {', '.join(names)}: no utterance of it is left" for key, names in gone]
    return lines


def _reason(contents: Contents, utterance: str) -> str:
    """Say why an utterance cannot stay."""
    speaker = contents.tables["utt2spk"].get(utterance)
    recording = (contents.tables.get("segments", {}).get(utterance) or " ").split(" ")[0]
    reasons = []
    for name in filter(contents.restricts, contents.tables):
        kind, table = contents.key_of(name), contents.tables[name]
        key = {UTTERANCE: utterance, SPEAKER: speaker, RECORDING: recording}[kind]
        if not key:  # said of utt2spk or segments
            continue
        whose = "" if kind == UTTERANCE else f"its {kind} {key} "
        if key not in table:
            reasons.append(f"{whose}not in {name}")
        elif not is_usable(name, table[key]):
            reasons.append(
                f"{whose}{name} has {table[key]!r:.60}" if table[key] else f"{whose}empty in {name}"
            )
    return ", ".join(reasons)


@dataclass(frozen=True)
class FixReport:
    """What fixing did.

    Attributes:
        num_before: Utterances before.
        num_after: Utterances after.
        changed: Whether anything had to be changed.
        notes: A line for each file that lost lines.
        dropped: A line for each thing that was dropped or repaired, with the reason.
    """

    num_before: int
    num_after: int
    changed: bool
    notes: tuple[str, ...]
    dropped: tuple[str, ...]


def fix_data_dir(
    root: PathLike, *, utt_extra: Iterable[str] = (), spk_extra: Iterable[str] = ()
) -> FixReport:
    """Sort all files, drop repeated lines and keep what all files agree on; old files go to `.backup`.

    Args:
        root: The directory.
        utt_extra: Further files whose keys are utterances, to be filtered too.
        spk_extra: Further files whose keys are speakers.

    Returns:
        What was done. Where nothing had to be, `.backup` stays as it was as well.

    Raises:
        FileNotFoundError: There is no such directory, or no `utt2spk`.
        ValueError: The files contradict each other in a way that cannot be repaired.
    """
    root = Path(root)
    before = read_contents(root, utt_extra=utt_extra, spk_extra=spk_extra)
    try:
        after = fix_contents(before)
    except ValueError as error:
        raise InputError(f"{root}: {error}") from None
    notes = tuple(
        f"filtered {root / name} from {len(table)} to {len(after.tables[name])} lines"
        for name, table in before.tables.items()
        if len(table) != len(after.tables[name])
    )
    dropped = (*before.repairs, *_faults_of_inverse(root, before), *reasons_of(before, after))
    files = after.files()
    old = {name: (root / name).read_bytes() for name in files if (root / name).is_file()}
    changed = old != {name: content.encode("utf-8") for name, content in files.items()}
    if changed:
        with staged(root, stale=()) as staging:
            write_files(staging, files)
    return FixReport(len(before.tables["utt2spk"]), len(after.tables["utt2spk"]), changed, notes, dropped)


def _faults_of_inverse(root: Path, contents: Contents) -> Iterator[str]:
    """Say that `spk2utt`, which is made anew, said something else."""
    if (root / "spk2utt").is_file():
        try:
            said = {(speaker, name) for speaker, names in read_lines(root / "spk2utt", []) for name in names.split()}
        except ValueError as error:
            yield f"{error}; made anew of utt2spk"
        else:
            if said != {(speaker, name) for name, speaker in contents.tables["utt2spk"].items()}:
                yield f"{root}/spk2utt: not the inverse of utt2spk, made anew"


def write_files(root: Path, files: dict[str, str]) -> None:
    """Write files by name into a folder of their own, see `staged`."""
    for name, content in files.items():
        with naming(root / name):
            (root / name).write_bytes(content.encode("utf-8"))
