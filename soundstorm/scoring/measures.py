"""The one shape of every metric: a pair of recordings in, numbers with weights out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from soundstorm.data.errors import InputError


@dataclass(frozen=True)
class Pair:
    """One utterance as it was recorded and as a system gives it back."""

    utt_id: str
    original: np.ndarray  # float32 (S,)
    decoded: np.ndarray  # float32 (S',); the original itself in the row of originals
    sample_rate: int  # Hz
    text: str | None = None  # normalised reference, None where there is none


@dataclass
class Measured:
    """What a metric found in one pair."""

    # Metric to (numerator, denominator): their sums over utterances make the score; 1 below makes a mean.
    values: dict[str, tuple[float, float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)  # for the record of the utterance; plain JSON
    undefined: dict[str, str] = field(default_factory=dict)  # metric without a value for this pair -> why


class Measure(Protocol):
    """A metric, or several that share work. Returns no value for a pair it does not apply to.

    Optional companion: ``read_ahead(pairs)``, called with the pairs of the next calls, of a measure that works
    on several at a time.
    """

    def __call__(self, pair: Pair) -> Measured:
        """Measure one pair."""
        ...


class SubsetMeasure:
    """A measure of some utterances only, for the slow ones."""

    def __init__(self, measure: Measure, utterances: Collection[str]):
        self._measure, self._utterances = measure, frozenset(utterances)
        self.name = getattr(measure, "name", type(measure).__name__)

    def read_ahead(self, pairs: Sequence[Pair]) -> None:
        """Let the measure see the chosen ones among the next pairs."""
        read_ahead(self._measure, [pair for pair in pairs if pair.utt_id in self._utterances])

    def __call__(self, pair: Pair) -> Measured:
        """Measure a chosen pair, nothing for others."""
        return self._measure(pair) if pair.utt_id in self._utterances else Measured()


def read_ahead(measure: Measure, pairs: Sequence[Pair]) -> None:
    """Let a measure that works on several pairs at a time see those of its next calls."""
    if pairs and hasattr(measure, "read_ahead"):
        measure.read_ahead(pairs)


class Remembered:
    """A function of recordings that works once on each: systems share prompts, measures share networks."""

    capacity = 1  # results that are kept, the latest

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]):
        self._function = function
        self._known: dict[bytes, np.ndarray] = {}  # digest of the samples -> result, the oldest first

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """The function's result for samples ``(S,)``."""
        key = hashlib.sha256(np.ascontiguousarray(wav)).digest()
        if key not in self._known:
            if len(self._known) >= self.capacity:
                del self._known[next(iter(self._known))]
            self._known[key] = self._function(wav)
        return self._known[key]


def evenly_spaced(ids: Collection[str], number: int | None) -> list[str]:
    """`number` of the utterances, evenly over their sorted ids, hence over speakers; all when None."""
    ordered = sorted(ids)
    if number is None or number >= len(ordered):
        return ordered
    return (
        [ordered[i] for i in np.linspace(0, len(ordered) - 1, number).round().astype(int)] if number else []
    )


def is_silent(wav: np.ndarray) -> bool:
    """Whether samples (S,) are silence, but for a constant and the last bits: below -80 dB of full scale."""
    return float(np.std(wav, dtype=np.float64)) < 1e-4


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of the angle between two vectors (D,)."""
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    if norms == 0.0:
        raise InputError("an embedding is all zeros; is its recording silent?")
    return float(np.dot(first, second)) / norms
