"""Tokens of a data directory for other toolkits, and back; the formats are modules of their own.

Beside what these write lie ``semantic.json`` and ``acoustic.json``, which say what the tokenizers are; with these
the way back is whole. Nothing that is read is executed, unpickled or fetched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenArchive, read_info, write_tokens
from soundstorm.data.data_dir import DataDir, check_ids, invert, read_table, write_table, write_text
from soundstorm.data.durations import format_seconds
from soundstorm.data.errors import InputError
from soundstorm.sharing import espnet_arks, lhotse_cuts, webdataset_tars
from soundstorm.sharing.exchanged import Export, Utterance

KINDS = ("semantic", "acoustic")
FORMATS = {"lhotse": lhotse_cuts, "espnet": espnet_arks, "webdataset": webdataset_tars}
SAME_SECONDS = 0.005  # so much may a duration be rounded


def export_tokens(data_dir: str | Path, output: str | Path, form: str) -> int:
    """Write the tokens of a data directory for another toolkit.

    Args:
        data_dir: with ``semantic.scp``, ``acoustic.scp`` or both; what both have is exported.
        output: directory to make.
        form: one of ``FORMATS``.

    Returns:
        Number of utterances.

    Raises:
        FileNotFoundError, ValueError: no tokens, an output that exists, an unknown format.
    """
    output = Path(output)
    archives = {kind: Path(data_dir) / f"{kind}.scp" for kind in KINDS}
    archives = {kind: TokenArchive(scp) for kind, scp in archives.items() if scp.is_file()}
    if not archives:
        raise FileNotFoundError(
            f"{data_dir}: neither semantic.scp nor acoustic.scp is there; extract tokens first"
        )
    if output.exists():
        raise InputError(f"{output}: is there already; remove it or choose another --output")
    folder = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        infos = {kind: archive.info for kind, archive in archives.items()}
        count, utterances = _read_source(data_dir, archives)
        FORMATS[form].write(Export(folder, output.absolute(), infos), utterances)
        for kind, info in infos.items():
            write_text(folder / f"{kind}.json", json.dumps(asdict(info), indent=2) + "\n")
        folder.rename(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return count


def import_tokens(source: str | Path, output: str | Path, form: str) -> int:
    """Make a data directory of what :func:`export_tokens`, or that toolkit, wrote.

    Args:
        source: directory, with the JSON files of the tokenizers.
        output: data directory to make.
        form: one of ``FORMATS``.

    Returns:
        Number of utterances.

    Raises:
        FileNotFoundError, ValueError: a file is missing, damaged or of a kind that is not read.
    """
    source, output = Path(source), Path(output)
    infos = {
        kind: read_info(source / f"{kind}.json") for kind in KINDS if (source / f"{kind}.json").is_file()
    }
    if not infos:
        raise FileNotFoundError(
            f"{source}: neither semantic.json nor acoustic.json is there, so nobody knows whose tokens "
            "these are; put those of the tokenizers' experiments there"
        )
    if output.exists():
        raise InputError(f"{output}: is there already; remove it or choose another --output")
    output.mkdir(parents=True)
    try:
        known: dict[str, Utterance] = {}
        for kind, info in infos.items():
            scp = output / f"{kind}.scp"
            try:
                write_tokens(output / kind, _of_kind(FORMATS[form].read(source, infos), kind, known), info)
            except InputError as error:
                raise InputError(f"{source}: {error}") from error
            write_table(scp, read_table(scp))  # sorted
        _write_tables(output, known)
    except BaseException:
        shutil.rmtree(output)
        raise
    return len(known)


def _of_kind(
    utterances: Iterable[Utterance], kind: str, known: dict[str, Utterance]
) -> Iterator[tuple[str, np.ndarray]]:
    """Tokens of one kind; what else there is goes to ``known``."""
    seen = set()
    for utterance in utterances:
        if utterance.name in seen:
            raise InputError(f"utterance {utterance.name!r:.80} is there twice; names must be unique")
        seen.add(utterance.name)
        known[utterance.name] = replace(utterance, tokens={})
        yield utterance.name, utterance.tokens[kind]


def _write_tables(output: Path, utterances: dict[str, Utterance]) -> None:
    """The other files of a data directory, as far as all utterances have what they need."""
    speakers = {name: utterance.speaker or name for name, utterance in utterances.items()}
    tables = {"utt2spk": speakers, "spk2utt": invert(dict(sorted(speakers.items())))}
    all_of = utterances.values()
    if all(utterance.text for utterance in all_of):
        tables["text"] = {u.name: u.text for u in all_of}
    if all(utterance.seconds for utterance in all_of):
        tables["utt2dur"] = {u.name: format_seconds(u.seconds) for u in all_of}
    if all(utterance.recording and utterance.seconds for utterance in all_of):
        if all(u.start == 0 and u.extent and abs(u.extent - u.seconds) < SAME_SECONDS for u in all_of):
            tables["wav.scp"] = {u.name: u.recording for u in all_of}
        else:
            names = {path: f"recording{n}" for n, path in enumerate(sorted({u.recording for u in all_of}))}
            tables["wav.scp"] = {name: path for path, name in names.items()}
            tables["segments"] = {
                u.name: f"{names[u.recording]} {format_seconds(u.start)} {format_seconds(u.start + u.seconds)}"
                for u in all_of
            }
    for name, table in tables.items():
        write_table(output / name, table)


def _read_source(data_dir: str | Path, archives: dict[str, TokenArchive]) -> tuple[int, Iterator[Utterance]]:
    """How many utterances have tokens of all kinds, and these."""
    data = DataDir(data_dir)
    names = [name for name in next(iter(archives.values())).ids if all(name in a for a in archives.values())]
    check_ids(names, data_dir)  # they become names of files
    speakers, texts = (data.table(name) if data.has(name) else {} for name in ("utt2spk", "text"))
    wavs = data.table("wav.scp") if data.has("wav.scp") else {}
    segments = data.segments()
    try:
        seconds = data.durations() or {}
    except InputError as error:
        raise InputError(f"{data.path / 'utt2dur'}: {error}") from error

    def read() -> Iterator[Utterance]:
        for name in names:
            tokens = {kind: archive[name] for kind, archive in archives.items()}
            segment = segments.get(name)
            yield Utterance(
                name, tokens, speakers.get(name), texts.get(name), seconds.get(name),
                wavs.get(segment.recording if segment else name), segment.start if segment else 0.0,
            )  # fmt: skip

    return len(names), read()
