"""Does a language model find the right one of two likelier? The pairs of sWUGGY and sBLIMP (ZeroSpeech 2021).

Both are folders of recordings with a table ``gold.csv``: ``id`` and ``voice`` name a pair, ``filename`` its
recording (without ``.wav``), ``correct`` is 1 for the word or the grammatical sentence and 0 for the other.
sWUGGY has ``frequency`` (``oov`` for words that LibriSpeech lacks), sBLIMP has ``type``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.scoring.statistics import bootstrap

COLUMNS = ("id", "filename", "voice", "correct")
OUT_OF_VOCABULARY = "oov"


@dataclass(frozen=True)
class LikelihoodPair:
    """Two recordings of one voice."""

    id: str  # the same for all voices
    voice: str
    right: Path
    wrong: Path
    groups: tuple[str, ...]  # beside all pairs together: in-vocabulary or oov; the type of a sentence


def read_pairs(gold: str | Path) -> list[LikelihoodPair]:
    """Read ``gold.csv`` of either kind.

    Args:
        gold: the table, beside the recordings.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: not a table, a column is missing, or an id lacks a right or a wrong recording of a voice.
    """
    gold = Path(gold)
    if not gold.is_file():
        raise FileNotFoundError(f"{gold}: no such table; expected the gold.csv of sWUGGY or sBLIMP")
    try:
        with open(gold, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{gold}: not a table in UTF-8 with commas ({error}); get the file again") from error
    missing = sorted(set(COLUMNS) - columns)
    if missing or not columns & {"frequency", "type"}:
        raise InputError(
            f"{gold}: no column {(missing or ['frequency or type'])[0]}, it has {sorted(columns)}; expected "
            "the gold.csv of sWUGGY (with frequency) or sBLIMP (with type)"
        )
    found: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for number, row in enumerate(rows, start=2):
        if None in row.values():
            raise InputError(f"{gold}, line {number}: fewer than {len(columns)} values; get the file again")
        pair = found.setdefault((row["id"], row["voice"]), {})
        if row["correct"] not in ("0", "1") or row["correct"] in pair:
            raise InputError(
                f"{gold}, line {number}: correct is {row['correct']!r}; expected 1 and 0, once each for an "
                f"id and a voice (here {row['id']}, {row['voice']})"
            )
        pair[row["correct"]] = row
    incomplete = [key for key, pair in found.items() if len(pair) < 2]
    if incomplete or not found:
        which = (
            f"id {incomplete[0][0]}, voice {incomplete[0][1]} has one recording" if incomplete else "no lines"
        )
        raise InputError(f"{gold}: {which}; expected pairs of a right and a wrong one")
    return [
        LikelihoodPair(
            key[0], key[1], *(gold.parent / f"{_stem(pair[k])}.wav" for k in ("1", "0")), _groups(pair["1"])
        )
        for key, pair in found.items()
    ]


def recordings(pairs: Sequence[LikelihoodPair]) -> list[Path]:
    """Every recording of the pairs once, in their order."""
    return list(dict.fromkeys(path for pair in pairs for path in (pair.right, pair.wrong)))


def _stem(row: dict[str, str]) -> str:
    return row["filename"].removesuffix(".wav")


def _groups(row: dict[str, str]) -> tuple[str, ...]:
    if "frequency" in row:
        return (OUT_OF_VOCABULARY if row["frequency"] == OUT_OF_VOCABULARY else "in vocabulary",)
    return (row["type"],)


def pairwise_accuracy(
    pairs: Sequence[LikelihoodPair], score: Callable[[Path], float]
) -> dict[str, dict[str, Any]]:
    """How often the right recording has the higher score; a tie counts half.

    As in the challenge, voices of one id are averaged first. An interval is over ids.

    Args:
        pairs: of one table.
        score: recording to a score, such as log likelihood; higher is likelier.

    Returns:
        ``all`` and each group to per cent with interval and count.

    Raises:
        ValueError: a score is not a number.
    """
    points: dict[str, list[float]] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        right, wrong = score(pair.right), score(pair.wrong)
        if math.isnan(right) or math.isnan(wrong):
            raise InputError(f"{pair.right} scores {right} and {pair.wrong} {wrong}; expected numbers")
        points.setdefault(pair.id, []).append(100.0 * ((right > wrong) + 0.5 * (right == wrong)))
        groups[pair.id] = ("all", *pair.groups)
    means = {name: sum(values) / len(values) for name, values in points.items()}
    names = dict.fromkeys(group for of_pair in groups.values() for group in of_pair)
    return {
        group: asdict(bootstrap([mean for name, mean in means.items() if group in groups[name]]))
        for group in names
    }
