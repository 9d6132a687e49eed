"""Data directories made of others: renamed copies, subsets, combinations."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from soundstorm.data.data_dir import (
    KNOWN,
    SPEAKER,
    UTTERANCE,
    KnownFile,
    Table,
    invert,
    parse_seconds,
)
from soundstorm.data.data_dir_check import validate_data_dir
from soundstorm.data.data_dir_edit import Contents, fix_contents, read_contents, reasons_of, write_files
from soundstorm.data.data_dir_replace import staged
from soundstorm.data.errors import InputError


def rename(contents: Contents, *, utt_prefix="", utt_suffix="", spk_prefix="", spk_suffix="") -> Contents:
    """Rename utterances and speakers in all files; recordings keep their names, unless they are utterances.

    Args:
        contents: The directory.
        utt_prefix: Goes before every utterance.
        utt_suffix: Goes after every utterance.
        spk_prefix: Goes before every speaker.
        spk_suffix: Goes after every speaker.

    Returns:
        The renamed directory.
    """

    def new_key(kind: str, key: str) -> str:
        if kind == UTTERANCE:
            return utt_prefix + key + utt_suffix
        return spk_prefix + key + spk_suffix if kind == SPEAKER else key

    tables = {
        name: {new_key(contents.key_of(name), key): value for key, value in table.items()}
        for name, table in contents.tables.items()
    }
    tables["utt2spk"] = {key: new_key(SPEAKER, value) for key, value in tables["utt2spk"].items()}
    return Contents(tables, contents.sidecars, contents.extra)


def publish(contents: Contents, source: Path, dest: Path, **validate_options: object) -> None:
    """Write a directory made of another, if it is valid, in place of an older one, see `staged`.

    Args:
        contents: What to write.
        source: Where it comes from; not the same directory.
        dest: Where it goes.
        **validate_options: For `validate_data_dir`; files that the source lacks too are not asked for.

    Raises:
        ValueError: The two directories are one, or the result is not valid (nothing is written then).
    """
    if source.resolve() == dest.resolve():
        raise InputError(f"the source and the destination are one directory, {dest}")
    options = {"text": "text" in contents.tables, "wav": "wav.scp" in contents.tables, "paths": False}
    options.update(validate_options)
    with staged(dest) as staging:
        write_files(staging, contents.files())
        try:
            validate_data_dir(staging, **options)
        except (ValueError, FileNotFoundError) as error:
            message = str(error).replace(str(staging), str(dest))
            raise InputError(f"{message}\n{dest} would not be valid; it was left as it is") from None


def spread(items: Sequence[str], number: int) -> list[str]:
    """Pick items evenly from a list: halve it and give each half its share, the odd one to the second.

    Args:
        items: The list.
        number: How many to pick, at most all.

    Returns:
        The picked ones, in order. The same ones as Kaldi's `subset_scp.pl` picks.
    """
    if len(items) <= 1:
        return list(items[:number])
    middle, share = len(items) // 2, number // 2
    return spread(items[:middle], share) + spread(items[middle:], number - share)


def spread_per_speaker(utt2spk: Table, number: int) -> list[str]:
    """Pick up to a number of utterances of each speaker, at equal steps from the first."""
    picked = []
    for names in invert(utt2spk).values():
        utterances = names.split()
        picked += utterances[:: max(1, len(utterances) // number)][:number]
    return picked


def whole_speakers(utt2spk: Table, number: int, seed: int) -> list[str]:
    """Draw whole speakers until there are at least a number of utterances."""
    spk2utt = invert(utt2spk)
    speakers, picked = sorted(spk2utt), []
    random.Random(seed).shuffle(speakers)
    for speaker in speakers:
        if len(picked) >= number:
            break
        picked += spk2utt[speaker].split()
    return picked


def shortest(utt2dur: Table, number: int) -> list[str]:
    """Pick the shortest utterances; of equal ones the first."""
    return sorted(utt2dur, key=lambda utterance: (parse_seconds(utt2dur[utterance]), utterance))[:number]


def combine(sources: dict[str, Contents]) -> tuple[Contents, list[str]]:
    """Put directories together.

    Args:
        sources: Directories by the name to call them in messages; two at least.

    Returns:
        The whole, with the files that all of them have, and the names of the files left out.

    Raises:
        ValueError: An utterance is in two of them, or they disagree about a speaker, a recording or a
            tokenizer.
    """
    _require_distinct_utterances(sources)
    made_up = {
        name
        for name in ("segments", "utt2uniq")
        if any(name in contents.tables for contents in sources.values())
    }
    whole = {name: _with_made_up(name, contents, made_up) for name, contents in sources.items()}
    names = sorted({name for contents in whole.values() for name in contents.tables})
    common = [name for name in names if all(name in contents.tables for contents in whole.values())]
    combined = Contents({}, extra={k: v for contents in whole.values() for k, v in contents.extra.items()})
    for name in common:
        combined.tables[name] = _merge_tables(
            name, {d: contents.tables[name] for d, contents in whole.items()}
        )
        known = KNOWN.get(name)
        if known is not None and known.sidecar:
            combined.sidecars.update(_common_sidecar(known, whole))
    combined.tables = {name: dict(sorted(table.items())) for name, table in combined.tables.items()}
    return combined, [name for name in names if name not in common]


def _require_distinct_utterances(sources: dict[str, Contents]) -> None:
    owner: dict[str, str] = {}
    for name, contents in sources.items():
        for utterance in contents.tables["utt2spk"]:
            if utterance in owner:
                raise InputError(
                    f"utterance {utterance} is both in {owner[utterance]} and in {name}; rename one with "
                    f"utils/copy_data_dir.sh --utt-prefix x- --spk-prefix x- {name} <new directory>"
                )
            owner[utterance] = name


def _with_made_up(name: str, contents: Contents, made_up: set[str]) -> Contents:
    """Add the files that follow from the others: segments that are whole recordings, names of their own."""
    tables = dict(contents.tables)
    if "utt2uniq" in made_up and "utt2uniq" not in tables:
        tables["utt2uniq"] = {utterance: utterance for utterance in tables["utt2spk"]}
    if "segments" in made_up and "segments" not in tables:
        if "utt2dur" not in tables:
            raise InputError(
                f"{name} has neither segments, which others have, nor utt2dur to make them of; "
                f"run utils/get_utt2dur.sh {name}"
            )
        tables["segments"] = {key: f"{key} 0 {value}" for key, value in tables["utt2dur"].items()}
    return Contents(tables, contents.sidecars, contents.extra)


def _merge_tables(name: str, parts: dict[str, Table]) -> Table:
    merged: Table = {}
    owner: dict[str, str] = {}
    for source, table in parts.items():
        for key, value in table.items():
            if merged.setdefault(key, value) != value:
                raise InputError(
                    f"{name} says {merged[key]!r} of {key} in {owner[key]} but {value!r} in {source}; "
                    "rename one of them or make them agree"
                )
            owner.setdefault(key, source)
    return merged


def _common_sidecar(known: KnownFile, sources: dict[str, Contents]) -> dict[str, str]:
    """Take the description of a table that all sources must share: tokens of two tokenizers do not mix."""
    contents = {source: whole.sidecars.get(known.sidecar) for source, whole in sources.items()}
    meanings = {source: content and json.loads(content) for source, content in contents.items()}
    first, *others = meanings
    for other in others:
        if meanings[other] != meanings[first]:
            raise InputError(
                f"{known.name} of {first} and of {other} are not of one tokenizer: {known.sidecar} says "
                f"{meanings[first]} and {meanings[other]}; extract one of them again"
            )
    content = contents[first]
    return {} if content is None else {known.sidecar: content}


def combine_data_dirs(
    dest: Path, sources: Sequence[Path], *, utt_extra: Sequence[str] = (), fix: bool = True
) -> tuple[list[str], int, list[str]]:
    """Put directories together in a new one, which replaces an older one, see `staged`.

    Args:
        dest: The new directory.
        sources: The directories to combine.
        utt_extra: Further files whose keys are utterances.
        fix: Whether to keep only what all files agree on.

    Returns:
        The names of the files left out, the number of utterances, and what was dropped or repaired, a line each.

    Raises:
        FileNotFoundError: A source is not there.
        ValueError: The sources do not fit together, or dest is one of them or no data directory.
    """
    for source in sources:
        if dest.resolve() == source.resolve():
            raise InputError(f"the destination {dest} is a source too; choose another destination")
    if len({source.resolve() for source in sources}) < len(sources):
        raise InputError("a source is given twice: " + " ".join(map(str, sources)))
    if dest.exists() and any(dest.iterdir()) and not (dest / "utt2spk").exists():
        raise InputError(f"{dest} exists and is no data directory (it has no utt2spk); choose another destination")
    contents = {str(source): read_contents(source, utt_extra=utt_extra) for source in sources}
    combined, left_out = combine(contents)
    dropped = [repair for content in contents.values() for repair in content.repairs]
    if fix:
        fixed = fix_contents(combined)
        dropped += reasons_of(combined, fixed)
        combined = fixed
    with staged(dest) as staging:
        write_files(staging, combined.files())
    return left_out, len(combined.tables["utt2spk"]), dropped
