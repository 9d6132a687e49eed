"""ABX: does a representation tell phones apart, whoever speaks? (Schatz et al. 2013; ZeroSpeech, Libri-light)

A and X are the same phone, B is another one in the same context. The error is how often X is nearer to B than
to A, ties counting half, 50 % at chance. Within speakers all three are one speaker's; across speakers X is
another's. The sound compared is the triphone, or the phone alone where a corpus has too few triphones. Errors
of cells (speakers, context, phone of A and X, phone of B) are averaged over contexts, then over speakers,
then over ordered pairs of phones, so that frequent phones do not decide.
"""

from __future__ import annotations

import logging
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.scoring.abx_config import AbxConfig
from soundstorm.scoring.dtw import dtw_distance
from soundstorm.scoring.token_quality import Interval

logger = logging.getLogger(__name__)
BATCH_NUMBERS = 4_000_000  # in the arrays of a batch of pairs
GAP = 0.005  # seconds between phones that follow each other


class Item(NamedTuple):
    """One occurrence of a phone."""

    utterance: str
    speaker: str
    phone: str
    context: tuple[str, str] | None  # phones before and after; None: whatever they are
    start: float  # seconds, of what is compared
    end: float


class Cell(NamedTuple):
    """One comparison of two phones: the error of every X with every A and B."""

    speaker: str  # of A and B
    phone: str  # of A and X
    other: str  # of B
    a: tuple[int, ...]  # items
    b: tuple[int, ...]
    x: tuple[int, ...]  # the same as ``a`` within speakers, where X is never its own A


@dataclass(frozen=True)
class Tasks:
    """What is compared, the same for every representation of a data directory."""

    items: list[Item]  # all occurrences in the corpus, from which those in cells were drawn
    within: list[Cell]
    across: list[Cell]
    context: str  # triphone or none


@dataclass(frozen=True)
class TaskScore:
    """Error of one task."""

    error: float  # per cent
    num_phone_pairs: int
    num_speakers: int
    num_cells: int
    num_triples: int  # A, B, X


@dataclass(frozen=True)
class AbxResult:
    """Errors of one representation in both tasks; None where the corpus has no comparison for one."""

    distance: str
    context: str
    within: TaskScore | None
    across: TaskScore | None


@dataclass(frozen=True)
class Representation:
    """Frames of the utterances and the distance between two of them."""

    frames: Mapping[str, np.ndarray]  # utterance to (T, D) vectors or (T, Q) tokens
    frame_rate: float  # frames per second
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of :mod:`soundstorm.scoring.dtw`
    distance_name: str


def make_tasks(
    phones: Mapping[str, Sequence[Interval]], speakers: Mapping[str, str], config: AbxConfig
) -> Tasks:
    """Choose what is compared.

    Args:
        phones: utterance to phone intervals in the order of time.
        speakers: utterance to speaker.
        config: how much.

    Raises:
        ValueError: there is nothing to compare.
    """
    wanted = ("triphone", "none") if config.context == "auto" else (config.context,)
    for context in wanted:
        items = find_items(phones, speakers, triphone=context == "triphone", silence=config.silence)
        groups = _groups(items, config)
        within, across = (
            _subset_of_cells(sorted(cells), config, name)
            for name, cells in (("within", _within(groups)), ("across", _across(groups, config)))
        )
        if len(within) >= config.min_cells and len(across) >= config.min_cells:
            break
    if not within and not across:
        more = " or --abx.context none" if context == "triphone" else ""
        raise InputError(
            f"no two phones of {len(items)} can be compared (context: {context}): a speaker needs one phone "
            f"twice and another one, in one context; use a larger data directory{more}"
        )
    if config.context == "auto" and context == "none":
        logger.warning("fewer than %d cells of triphones: phones, whatever is beside them", config.min_cells)
    return Tasks(items, within, across, context)


def find_items(
    phones: Mapping[str, Sequence[Interval]],
    speakers: Mapping[str, str],
    *,
    triphone: bool,
    silence: Sequence[str],
) -> list[Item]:
    """Occurrences of phones: with the phones beside them, or alone."""
    items = []
    for utt in sorted(set(phones) & set(speakers)):
        intervals, speaker = phones[utt], speakers[utt]
        if not triphone:
            spoken = [interval for interval in intervals if interval[2] not in silence]
            items += [Item(utt, speaker, phone, None, start, end) for start, end, phone in spoken]
            continue
        for before, (start, end, phone), after in zip(intervals, intervals[1:], intervals[2:]):
            adjacent = start - before[1] <= GAP and after[0] - end <= GAP
            if adjacent and not {before[2], phone, after[2]} & set(silence):
                items.append(Item(utt, speaker, phone, (before[2], after[2]), before[0], after[1]))
    return items


Groups = Mapping[tuple, Mapping[str, Mapping[str, tuple[int, ...]]]]  # context -> speaker -> phone -> items


def _groups(items: Sequence[Item], config: AbxConfig) -> Groups:
    found: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for number, item in enumerate(items):
        found[item.context or ()][item.speaker][item.phone].append(number)
    return {
        context: {
            speaker: {
                phone: _subset(members, config.max_items, config.seed, context, speaker, phone)
                for phone, members in by_phone.items()
            }
            for speaker, by_phone in by_speaker.items()
        }
        for context, by_speaker in found.items()
    }


def _subset(members: Sequence, most: int, seed: int, *key) -> tuple:
    """At most so many, drawn by seed and key alone, in their order."""
    if len(members) <= most:
        return tuple(members)
    generator = np.random.default_rng((seed, zlib.crc32(repr(key).encode())))
    return tuple(members[i] for i in sorted(generator.permutation(len(members))[:most]))


def _within(groups: Groups) -> Iterator[Cell]:
    for by_speaker in groups.values():
        for speaker, by_phone in by_speaker.items():
            for phone, a in by_phone.items():
                for other, b in by_phone.items():
                    if other != phone and len(a) > 1:
                        yield Cell(speaker, phone, other, a, b, a)


def _across(groups: Groups, config: AbxConfig) -> Iterator[Cell]:
    for context, by_speaker in groups.items():
        for speaker, by_phone in by_speaker.items():
            for phone, a in by_phone.items():
                if len(by_phone) == 1:
                    continue
                others = sorted(s for s, theirs in by_speaker.items() if s != speaker and phone in theirs)
                chosen = _subset(others, config.max_speakers, config.seed, context, speaker, phone)
                for x in (by_speaker[other_speaker][phone] for other_speaker in chosen):
                    for other, b in by_phone.items():
                        if other != phone:
                            yield Cell(speaker, phone, other, a, b, x)


def _subset_of_cells(cells: list[Cell], config: AbxConfig, name: str) -> list[Cell]:
    if len(cells) > config.max_cells:
        logger.info("%s speakers: %d of %d cells are drawn", name, config.max_cells, len(cells))
    return list(_subset(cells, config.max_cells, config.seed, name))


def measure_abx(representation: Representation, tasks: Tasks) -> AbxResult:
    """Errors of a representation.

    Raises:
        ValueError: an utterance has no frames.
    """
    pairs = sorted({pair for cell in tasks.within + tasks.across for pair in _pairs(cell)})
    distances = dict(zip(pairs, _distances(representation, tasks.items, pairs)))
    return AbxResult(
        distance=representation.distance_name,
        context=tasks.context,
        within=_score(tasks.within, distances),
        across=_score(tasks.across, distances),
    )


def _pairs(cell: Cell) -> Iterator[tuple[int, int]]:
    """Distances that a cell needs; a distance has no direction."""
    for x in cell.x:
        yield from ((min(x, y), max(x, y)) for y in (*cell.a, *cell.b) if y != x)


def _distances(
    representation: Representation, items: Sequence[Item], pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Distances of pairs of items ``(pairs,)``, pairs of similar length together."""
    cut = {number: cut_frames(representation, items[number]) for pair in pairs for number in pair}
    longest = [max(len(cut[number]) for number in pair) for pair in pairs]
    order = sorted(range(len(pairs)), key=lambda i: -longest[i])
    result = np.zeros(len(pairs))
    at = 0
    while at < len(order):
        frames = longest[order[at]]
        width = cut[pairs[order[at]][0]].shape[1]
        batch = order[at : at + max(1, BATCH_NUMBERS // (frames * (2 * width + frames * width)))]
        first, second = ([cut[pairs[i][side]] for i in batch] for side in (0, 1))
        lengths = [np.array([len(frames) for frames in part]) for part in (first, second)]
        result[batch] = dtw_distance(representation.distance(_padded(first), _padded(second)), *lengths)
        at += len(batch)
    return result


def cut_frames(representation: Representation, item: Item) -> np.ndarray:
    """Frames ``(T, D)`` of an item, those whose middle it holds; at least the one nearest to its start."""
    frames = representation.frames.get(item.utterance)
    if frames is None:
        raise InputError(
            f"utterance {item.utterance} has phone times but no frames; extract it, or fix the directory"
        )
    # Middles (t + 0.5) / rate that lie in [start, end).
    first, last = (int(np.ceil(t * representation.frame_rate - 0.5 - 1e-9)) for t in (item.start, item.end))
    first = min(max(first, 0), len(frames) - 1)
    return frames[first : max(last, first + 1)]


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    padded = np.zeros((len(parts), max(map(len, parts)), parts[0].shape[1]), parts[0].dtype)
    for row, part in enumerate(parts):
        padded[row, : len(part)] = part
    return padded


def _score(cells: Sequence[Cell], distances: Mapping[tuple[int, int], float]) -> TaskScore | None:
    if not cells:
        return None
    errors: dict = defaultdict(lambda: defaultdict(list))  # ordered pair of phones -> speaker -> cells
    triples = 0
    for cell in cells:
        error, number = cell_error(cell, distances)
        errors[cell.phone, cell.other][cell.speaker].append(error)
        triples += number
    by_pair = [np.mean([np.mean(theirs) for theirs in speakers.values()]) for speakers in errors.values()]
    return TaskScore(
        error=100.0 * float(np.mean(by_pair)),
        num_phone_pairs=len(by_pair),
        num_speakers=len({cell.speaker for cell in cells}),
        num_cells=len(cells),
        num_triples=triples,
    )


def cell_error(cell: Cell, distances: Mapping[tuple[int, int], float]) -> tuple[float, int]:
    """Share of triples in which X is nearer to B than to A, ties half, and the number of triples."""

    def distance(x: int, y: int) -> float:
        return distances[min(x, y), max(x, y)]

    to_b = np.array([[distance(x, b) for b in cell.b] for x in cell.x])  # (X, B)
    same = np.array([[x == a for a in cell.a] for x in cell.x])
    to_a = np.array([[np.inf if x == a else distance(x, a) for a in cell.a] for x in cell.x])  # (X, A)
    wrong = (to_a[:, :, None] > to_b[:, None]) + 0.5 * (to_a[:, :, None] == to_b[:, None])
    number = int((~same).sum()) * len(cell.b)
    return float(wrong[~same].sum() / number), number
