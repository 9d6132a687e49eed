"""What every score carries: a count and a 95 % bootstrap interval, over all utterances and per length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundstorm.data.errors import InputError

# The bucket edges of SoundStorm's Table 1, in seconds: [4, 10), [10, 20), [20, 30].
LENGTHS = (("short", 4.0, 10.0), ("mid", 10.0, 20.0), ("long", 20.0, 30.0))
ALL = "all"


@dataclass(frozen=True)
class Estimate:
    """A mean or a ratio with its bootstrap interval."""

    value: float
    low: float
    high: float
    count: int  # utterances


def bootstrap(
    numerators: Sequence[float],
    denominators: Sequence[float] | None = None,
    *,
    speakers: Sequence[str | None] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate sum(numerators) / sum(denominators) and its 95 % percentile interval.

    Utterances are drawn with replacement, because errors within one utterance are not independent. A word
    error rate is such a ratio (errors over words); a mean is the ratio whose denominators are all 1.

    With speakers these are drawn, and of each its utterances. In simulations (24 speakers of 5 utterances, 8 of 11;
    none to half of the variance is the speakers') such intervals cover the truth in 87 to 99 %, those of whole speakers
    in 80 to 94, of utterances in 53 to 95.

    Args:
        numerators: One value per utterance.
        denominators: One positive weight per utterance; 1 for each when omitted.
        speakers: Of each utterance, drawn first because utterances of one voice are not independent; where all are
            known and there are two at least.
        num_resamples: Draws of a whole test set.
        seed: Of the draws; the same input gives the same interval.

    Raises:
        ValueError: If there is nothing to score, or a value that is not finite.
    """
    top = np.asarray(numerators, dtype=np.float64)
    bottom = np.ones_like(top) if denominators is None else np.asarray(denominators, dtype=np.float64)
    if top.ndim != 1 or top.shape != bottom.shape:
        raise InputError(f"bootstrap needs one weight per value, got {top.shape} and {bottom.shape}")
    if len(top) == 0:
        raise InputError("bootstrap needs at least one utterance, got none")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all() and (bottom > 0).all()):
        raise InputError("bootstrap needs finite values and positive weights; a metric gave NaN or infinity")
    generator = np.random.default_rng(seed)
    draws = np.empty(num_resamples)
    # One resample at a time: memory stays that of the test set.
    for i, chosen in zip(range(num_resamples), _resamples(len(top), speakers, generator)):
        draws[i] = top[chosen].sum() / bottom[chosen].sum()
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(float(top.sum() / bottom.sum()), float(low), float(high), len(top))


def _resamples(
    count: int, speakers: Sequence[str | None] | None, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Numbers of the utterances of one test set after another."""
    if speakers is None or None in speakers or len(set(speakers)) < 2:
        while True:
            yield generator.integers(count, size=count)
    _, speaker_of, sizes = np.unique(np.asarray(speakers), return_inverse=True, return_counts=True)
    by_speaker = np.argsort(speaker_of, kind="stable")
    first = np.cumsum(sizes) - sizes
    while True:
        chosen = generator.integers(len(sizes), size=len(sizes))
        number = np.repeat(sizes[chosen], sizes[chosen])  # of the utterances of each drawn one's speaker
        within = (generator.random(len(number)) * number).astype(np.int64)
        yield by_speaker[np.repeat(first[chosen], sizes[chosen]) + within]


def length_of(duration: float) -> str | None:
    """The name of the Table 1 column an utterance of `duration` seconds belongs to, None outside 4-30 s."""
    for name, start, end in LENGTHS:
        if start <= duration < end or (name == LENGTHS[-1][0] and duration == end):
            return name
    return None


def by_length(
    values: Mapping[str, tuple[float, float]],
    durations: Mapping[str, float],
    speakers: Mapping[str, str] | None = None,
    **bootstrap_options,
) -> dict[str, Estimate]:
    """Estimate a metric over all utterances and in each length column that has any.

    Args:
        values: Utterance to (numerator, denominator).
        durations: Utterance to the length in seconds of its *original* recording, so that every system has
            the same utterances in a column, however long its own output is.
        speakers: Of the utterances, to draw these first.
        **bootstrap_options: As of `bootstrap`.
    """
    groups: dict[str, list[str]] = {ALL: sorted(values)}
    for utt_id in groups[ALL]:
        name = length_of(durations[utt_id])
        if name is not None:
            groups.setdefault(name, []).append(utt_id)
    return {
        name: bootstrap(
            *zip(*(values[utt_id] for utt_id in groups[name])),
            speakers=None if speakers is None else [speakers[utt_id] for utt_id in groups[name]],
            **bootstrap_options,
        )
        for name in (ALL, *(name for name, _, _ in LENGTHS))
        if groups.get(name)
    }


def paired_difference(
    first: Mapping[str, float],
    second: Mapping[str, float],
    speakers: Mapping[str, str | None] | None = None,
    **bootstrap_options,
) -> Estimate:
    """Mean of first - second over the utterances both have, drawn together so that hard ones cancel.

    With their speakers, these are drawn first.
    """
    shared = sorted(set(first) & set(second))
    if not shared:
        raise InputError(
            f"no utterance is in both systems ({len(first)} and {len(second)} of their own); "
            f"score them on the same data directory"
        )
    drawn_first = None if speakers is None else [speakers[utt_id] for utt_id in shared]
    differences = [first[utt_id] - second[utt_id] for utt_id in shared]
    return bootstrap(differences, speakers=drawn_first, **bootstrap_options)
