"""The one shape of every metric: a pair of recordings in, numbers with weights out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


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

    # Metric to (numerator, denominator): sums of both over utterances make the score. A mean has denominator 1.
    values: dict[str, tuple[float, float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)  # for the record of the utterance; plain JSON


class Measure(Protocol):
    """A metric, or several that share work. Returns no value for a pair it does not apply to."""

    def __call__(self, pair: Pair) -> Measured:
        """Measure one pair."""
        ...


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of the angle between two vectors (D,)."""
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    if norms == 0.0:
        raise ValueError("an embedding is all zeros; is its recording silent?")
    return float(np.dot(first, second)) / norms
