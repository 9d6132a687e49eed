"""Tokens as WebDataset's tars: ``<key>.semantic.npy``, ``<key>.acoustic.npy`` and ``<key>.json``."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.errors import InputError
from soundstorm.sharing.exchanged import REMEDY, Export, Utterance, read_array

SHARD = 5000  # utterances in a tar


def write(export: Export, utterances: Iterable[Utterance]) -> None:
    """Write the tars."""
    tar = None
    try:
        for number, utt in enumerate(utterances):
            if number % SHARD == 0:
                if tar:
                    tar.close()
                tar = tarfile.open(export.folder / f"tokens-{number // SHARD:06}.tar", "w")
            key = utt.name.replace(".", "%2E")  # the first dot ends a key
            said = {"id": utt.name, "speaker": utt.speaker, "text": utt.text, "seconds": utt.seconds}
            files = {"json": json.dumps(said, ensure_ascii=False).encode()}
            for kind, tokens in utt.tokens.items():
                stream = io.BytesIO()
                np.save(stream, tokens.astype(np.int32), allow_pickle=False)
                files[f"{kind}.npy"] = stream.getvalue()
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    finally:
        if tar:
            tar.close()


def read(source: Path, infos: dict[str, TokenizerInfo]) -> Iterator[Utterance]:
    """Read the tars."""
    paths = sorted(source.glob("*.tar"))
    if not paths:
        raise FileNotFoundError(f"{source}: no *.tar is there")
    for path in paths:
        key, files = None, {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    stem, _, suffix = member.name.rpartition("/")[2].partition(".")
                    if stem != key and files:
                        yield _of_sample(files, infos, f"{path}: {key}")
                        files = {}
                    key = stem
                    files[suffix] = tar.extractfile(member).read()
            if files:
                yield _of_sample(files, infos, f"{path}: {key}")
        except tarfile.TarError as error:
            raise InputError(f"{path}: not a whole tar ({error}); {REMEDY}") from error


def _of_sample(files: dict[str, bytes], infos: dict[str, TokenizerInfo], where: str) -> Utterance:
    lacking = [suffix for suffix in ("json", *(f"{kind}.npy" for kind in infos)) if suffix not in files]
    if lacking:
        raise InputError(f"{where}: no {', '.join(lacking)}, expected json and tokens of {', '.join(infos)}")
    try:
        said = json.loads(files["json"])
        told = {name: said.get(name) for name in ("speaker", "text", "seconds")}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{where}: its json is damaged ({error}); {REMEDY}") from error
    tokens = {kind: read_array(files[f"{kind}.npy"], where) for kind in infos}
    return Utterance.of(tokens, where, name=said.get("id"), **told)
