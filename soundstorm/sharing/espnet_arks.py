"""Tokens as ESPnet's SpeechLM reads them: ``data.json`` with files of type ``kaldi_ark``.

``wav.scp`` has the acoustic tokens as ESPnet's CodecTokenizer writes them, frame by frame, each level shifted
by the codes of those before it; ``semantic.scp`` has the semantic ones.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.data_dir import read_table, write_table, write_text
from soundstorm.data.errors import InputError
from soundstorm.sharing.exchanged import REMEDY, Export, Utterance

DATA_JSON, PLACE = "data.json", re.compile(r"(.+):([0-9]+)")
ESPNET_TABLES = {"semantic": "semantic.scp", "acoustic": "wav.scp"}


def write(export: Export, utterances: Iterable[Utterance]) -> None:
    """Write the tables, the archives and data.json."""
    import kaldiio

    tables: dict[str, dict[str, str]] = {name: {} for name in ("text", "utt2spk", *ESPNET_TABLES.values())}
    arks = {kind: open(export.folder / f"{kind}.ark", "wb") for kind in export.infos}  # noqa: SIM115
    try:
        for utt in utterances:
            tables["utt2spk"][utt.name] = utt.speaker or utt.name
            if utt.text:
                tables["text"][utt.name] = utt.text
            for kind, tokens in utt.tokens.items():
                info, ark = export.infos[kind], arks[kind]
                shifts = np.arange(info.num_levels, dtype=np.int32) * info.codebook_size
                flat = (tokens.astype(np.int32).reshape(len(tokens), -1) + shifts).ravel()
                place = f"{export.final / f'{kind}.ark'}:{ark.tell() + len(utt.name) + 1}"
                kaldiio.save_ark(ark, {utt.name: flat})
                tables[ESPNET_TABLES[kind]][utt.name] = place
    finally:
        for ark in arks.values():
            ark.close()
    for name, table in tables.items():
        if table:
            write_table(export.folder / name, table)
    names = [("text", "g2p", "text"), ("utt2spk", "spk", "text"), ("semantic.scp", "ssl", "kaldi_ark")]
    names = [row for row in [*names, ("wav.scp", "codec", "kaldi_ark")] if tables[row[0]]]
    content = {
        "task": "codec_tts",
        "vocabularies": [],
        "data_files": [f"{export.final / name},{modality},{kind}" for name, modality, kind in names],
        "examples": sorted(tables["utt2spk"]),
        "num_examples": len(tables["utt2spk"]),
    }
    write_text(export.folder / DATA_JSON, json.dumps(content, indent=2) + "\n")


def read(source: Path, infos: dict[str, TokenizerInfo]) -> Iterator[Utterance]:
    """Read the tables and the archives."""
    tables = {kind: read_table(source / ESPNET_TABLES[kind]) for kind in infos}
    texts, speakers = (
        read_table(source / name) if (source / name).is_file() else {} for name in ("text", "utt2spk")
    )
    for name in next(iter(tables.values())):
        tokens = {}
        for kind, table in tables.items():
            if name not in table:
                raise InputError(
                    f"{source / ESPNET_TABLES[kind]}: no {name!r:.80}, which the other tokens have"
                )
            tokens[kind] = _shifted_back(_int_vector(table[name], source), infos[kind], name)
        yield Utterance.of(tokens, str(source), name=name, speaker=speakers.get(name), text=texts.get(name))


def _shifted_back(flat: np.ndarray, info: TokenizerInfo, name: str) -> np.ndarray:
    if len(flat) % info.num_levels:
        raise InputError(f"{name}: {len(flat)} tokens, expected a multiple of {info.num_levels} levels")
    rows = flat.reshape(-1, info.num_levels) - np.arange(info.num_levels) * info.codebook_size
    return rows[:, 0] if info.kind == "semantic" else rows


def _int_vector(place: str, source: Path) -> np.ndarray:
    """A vector of integers in Kaldi's binary form; kaldiio would also run commands and unpack other forms."""
    found = PLACE.fullmatch(place)
    if found is None:
        raise InputError(f"{source}: tokens are at {place!r:.80}, expected <ark>:<offset>")
    named = Path(found[1])
    path = next(
        (path for path in (source / named.name, named) if path.is_file()), named
    )  # moved with it, or not
    with path.open("rb") as stream:
        stream.seek(min(int(found[2]), path.stat().st_size))
        head = stream.read(7)
        count = struct.unpack("<i", head[3:])[0] if len(head) == 7 and head[:3] == b"\0B\4" else -1
        left = path.stat().st_size - stream.tell()
        if not 0 < 5 * count <= left:
            raise InputError(f"{place}: no vector of integers is there; {REMEDY}")
        rows = np.frombuffer(stream.read(5 * count), dtype=[("size", "i1"), ("value", "<i4")])
    return rows["value"].astype(np.int64)
