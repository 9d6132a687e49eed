"""Tokens as lhotse's cuts.

``cuts.jsonl.gz`` has a MonoCut an utterance, with its recording, text and speaker, and the tokens as
``semantic_tokens`` (T,) and ``acoustic_tokens`` (T, Q), whose files lie in ``arrays``.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.errors import InputError
from soundstorm.sharing.exchanged import REMEDY, Export, Utterance, read_array

CUTS, ARRAYS = "cuts.jsonl.gz", "arrays"


def write(export: Export, utterances: Iterable[Utterance]) -> None:
    """Write the cuts; lhotse must be installed."""
    try:
        from lhotse import MonoCut, Recording, SupervisionSegment
        from lhotse.array import Array, TemporalArray
    except ImportError as error:
        raise InputError("--format lhotse needs lhotse, which is not installed; run: pip install lhotse") from error

    (export.folder / ARRAYS).mkdir()
    recordings: dict[str, Recording] = {}
    with gzip.open(export.folder / CUTS, "wt", encoding="utf-8") as stream:
        for utt in utterances:
            if utt.recording is None:
                raise InputError(
                    f"{utt.name}: no recording in wav.scp, which a cut needs; or choose another --format"
                )
            if utt.recording not in recordings:  # only the last one is kept, as its utterances come together
                recordings = {utt.recording: Recording.from_file(utt.recording)}
            recording, start = recordings[utt.recording], utt.start
            seconds = utt.seconds or recording.duration - start
            custom = {}
            for kind, tokens in utt.tokens.items():
                key = f"{utt.name}.{kind}.npy"
                np.save(export.folder / ARRAYS / key, tokens.astype(np.int32), allow_pickle=False)
                array = Array("numpy_files", str(export.final / ARRAYS), key, list(tokens.shape))
                custom[f"{kind}_tokens"] = TemporalArray(array, 0, 1 / export.infos[kind].frame_rate, start)
            said = SupervisionSegment(
                utt.name, recording.id, 0.0, seconds, text=utt.text, speaker=utt.speaker
            )
            cut = MonoCut(
                utt.name, start, seconds, 0, recording=recording, supervisions=[said], custom=custom
            )
            stream.write(json.dumps(cut.to_dict(), ensure_ascii=False) + "\n")


def read(source: Path, infos: dict[str, TokenizerInfo]) -> Iterator[Utterance]:
    """Read the cuts, without lhotse, which might fetch or run what they name."""
    path = source / CUTS
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield _of_cut(json.loads(line), source, infos)
    except (
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        json.JSONDecodeError,
        UnicodeDecodeError,
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path}: not cuts with tokens ({type(error).__name__}: {error}); {REMEDY}"
        ) from error


def _of_cut(cut: dict[str, Any], source: Path, infos: dict[str, TokenizerInfo]) -> Utterance:
    tokens = {}
    for kind in infos:
        array = cut["custom"][f"{kind}_tokens"]["array"]
        if array["storage_type"] != "numpy_files":
            raise InputError(f"tokens of {cut['id']} are {array['storage_type']!r:.40}, expected numpy_files")
        places = [source / ARRAYS / array["storage_key"], Path(array["storage_path"]) / array["storage_key"]]
        place = next((place for place in places if place.is_file()), places[-1])
        tokens[kind] = read_array(place.read_bytes(), str(place))
    said = (cut.get("supervisions") or [{}])[0]
    files = [part["source"] for part in cut.get("recording", {}).get("sources", []) if part["type"] == "file"]
    extent = cut.get("recording", {}).get("duration")
    recording = files[0] if files else None
    return Utterance.of(
        tokens, f"{source / CUTS}, {cut['id']!r:.80}", name=cut["id"], speaker=said.get("speaker"),
        text=said.get("text"), seconds=cut["duration"], recording=recording, start=cut["start"],
        extent=extent,
    )  # fmt: skip
