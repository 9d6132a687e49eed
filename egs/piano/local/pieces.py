"""What there is to play: pieces of MAESTRO as published, and MIDI files, each with its work and its set."""

from __future__ import annotations

import csv
import hashlib
import logging
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)
SETS = ("train", "dev", "test")
MAESTRO_TABLE = "maestro-v3.0.0.csv"
MAESTRO_HELP = (
    "MAESTRO v3.0.0 is published at https://magenta.tensorflow.org/datasets/maestro; unpack maestro-v3.0.0.zip and "
    f"pass the folder that holds {MAESTRO_TABLE}"
)
MAESTRO_SETS = {"train": "train", "validation": "dev", "test": "test"}
COLUMNS = ("canonical_composer", "canonical_title", "split", "audio_filename")
# What tells the movements of a work apart: "..._cut_mov_1", "..._no_12_cut", "..._part1".
MOVEMENT = re.compile(r"(?:_cut)?(?:_(?:mov|no|part)_?\d+)?(?:_cut)?$")


class Piece(NamedTuple):
    """One recording, or a MIDI file that becomes one.

    Attributes:
        name: Its own, which begins with the work's.
        work: What is played, which stands for the speaker: no work is in two sets.
        path: The audio or MIDI file.
        set_name: train, dev or test.
    """

    name: str
    work: str
    path: Path
    set_name: str


def plain(words: str) -> str:
    """A name of small letters, digits and `_`."""
    ascii_words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9]+", "_", ascii_words.lower()).strip("_")


def read_maestro(root: Path) -> list[Piece]:
    """The recordings of MAESTRO in their published sets.

    A work that is tested is not trained on: other recordings of it, if any, are left out and named.

    Raises:
        FileNotFoundError: The table or a recording is not there.
        ValueError: The table is another one.
    """
    table = root / MAESTRO_TABLE
    if not table.is_file():
        raise FileNotFoundError(f"--maestro {root}: {MAESTRO_TABLE} is missing. {MAESTRO_HELP}")
    with open(table, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if missing := [name for name in COLUMNS if not rows or rows[0].get(name) is None]:
        raise ValueError(f"{table}: no column {missing[0]}; expected {', '.join(COLUMNS)}. {MAESTRO_HELP}")
    pieces = []
    for number, row in enumerate(rows, start=2):
        if row["split"] not in MAESTRO_SETS:
            raise ValueError(f"{table}:{number}: split is {row['split']!r}, expected one of {', '.join(MAESTRO_SETS)}")
        path = root / row["audio_filename"]
        if not path.is_file():
            raise FileNotFoundError(f"{table}:{number}: {path} is missing. {MAESTRO_HELP}")
        work = plain(f"{row['canonical_composer']} {row['canonical_title']}")
        pieces.append(Piece(f"{work}-{plain(path.stem)}", work, path.resolve(), MAESTRO_SETS[row["split"]]))
    tested = {piece.work for piece in pieces if piece.set_name == "test"}
    held_out = tested | {piece.work for piece in pieces if piece.set_name == "dev"}
    kept = [
        piece for piece in pieces
        if piece.set_name == "test" or piece.work not in (tested if piece.set_name == "dev" else held_out)
    ]  # fmt: skip
    if lost := sorted({piece.name for piece in pieces} - {piece.name for piece in kept}):
        logger.warning("%d recordings are of works of the dev or test set and left out (%s)", len(lost), lost[0])
    return kept


def read_midi(root: Path, *, dev_works: int, test_works: int) -> list[Piece]:
    """The MIDI files below a folder; whole works are held out, chosen by the hash of their names.

    Args:
        root: The folder. Movements of a work differ in `_mov_1`, `_no_2`, `_part1` at the end of their names only.
        dev_works, test_works: So many are held out.

    Raises:
        FileNotFoundError: There are none.
        ValueError: Fewer works than three sets need.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".mid", ".midi") and path.is_file())
    if not paths:
        raise FileNotFoundError(f"--midi {root}: no .mid or .midi file in it or below")
    works = {path: plain(work_name(path.relative_to(root))) or "unnamed" for path in paths}
    ranked = sorted(set(works.values()), key=lambda work: hashlib.sha256(work.encode()).hexdigest())
    if dev_works < 1 or test_works < 1 or len(ranked) <= dev_works + test_works:
        raise ValueError(
            f"--dev-works is {dev_works} and --test-works {test_works}, expected at least 1 each and fewer than the "
            f"{len(ranked)} works of {root} together"
        )
    sets = dict.fromkeys(ranked, "train")
    sets |= dict.fromkeys(ranked[:test_works], "test") | dict.fromkeys(ranked[test_works:][:dev_works], "dev")
    return [
        Piece(f"{work}-{plain(str(path.relative_to(root).with_suffix('')))}", work, path.resolve(), sets[work])
        for path, work in works.items()
    ]


def work_name(path: Path) -> str:
    """The part of a file's place that all movements of its work share."""
    return str(path.with_name(MOVEMENT.sub("", path.stem)))


def check_names(pieces: Sequence[Piece]) -> None:
    """Raise ValueError where two pieces have one name."""
    seen: dict[str, Path] = {}
    for piece in pieces:
        if (other := seen.setdefault(piece.name, piece.path)) != piece.path:
            raise ValueError(f"{piece.path} and {other} have the same name, {piece.name}; rename one of them")
