"""Acoustic consistency with the prompt: SoundStorm's own measure, and its drift over time (Figure 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from soundstorm.data.audio import num_samples
from soundstorm.data.errors import InputError
from soundstorm.scoring.measures import Measured, Pair, cosine, is_silent
from soundstorm.scoring.statistics import bootstrap

METRIC = "acoustic_consistency"
DRIFT = "consistency_drift"  # in an utterance's details: [[start of crop in seconds, cosine], ...]


class AcousticConsistency:
    """Cosine between the prompt and every later crop, averaged over crops that do not overlap."""

    def __init__(
        self, embed: Callable[[np.ndarray], np.ndarray], *, prompt_seconds: float, crop_seconds: float
    ):
        """
        Args:
            embed: the contrastive network: float32 (S,) to float32 (D,).
            prompt_seconds: length of the first crop, the prompt.
            crop_seconds: length of later crops.
        """
        if prompt_seconds <= 0 or crop_seconds <= 0:
            raise InputError(
                f"score.prompt_seconds ({prompt_seconds}) and score.crop_seconds ({crop_seconds}) "
                "must be positive"
            )
        self._embed = embed
        self._prompt_seconds = prompt_seconds
        self._crop_seconds = crop_seconds

    def __call__(self, pair: Pair) -> Measured:
        """Compare; undefined where no whole crop follows the prompt, or the prompt is silent."""
        cut = num_samples(self._prompt_seconds, pair.sample_rate)
        size = num_samples(self._crop_seconds, pair.sample_rate)
        starts = range(cut, len(pair.decoded) - size + 1, size)
        if not starts:
            reason = (
                f"no whole crop of {self._crop_seconds:g} s follows the prompt of {self._prompt_seconds:g} s"
            )
            return Measured(undefined={METRIC: reason})
        if is_silent(pair.decoded[:cut]):
            return Measured(undefined={METRIC: "the prompt is silent"})
        prompt = self._embed(pair.decoded[:cut])
        drift = [
            [
                round(start / pair.sample_rate, 3),
                cosine(prompt, self._embed(pair.decoded[start : start + size])),
            ]
            for start in starts
        ]
        mean = float(np.mean([similarity for _, similarity in drift]))
        return Measured({METRIC: (mean, 1.0)}, {DRIFT: drift})


@dataclass(frozen=True)
class DriftPoint:
    """Consistency with the prompt of all crops that start at one time."""

    seconds: float  # start of the crop in the utterance
    value: float  # mean
    low: float  # 95 % interval of the mean
    high: float
    quartile_low: float  # the middle half of the utterances, as the band in the paper's Figure 2
    quartile_high: float
    count: int


def drift_curve(
    utterances: Mapping[str, Mapping[str, Any]], *, min_count: int = 2, **bootstrap_options
) -> list[dict]:
    """Join the drifts in the records of a score file to a curve, of times that `min_count` utterances reach."""
    by_time: dict[float, list[tuple[float, str | None]]] = {}
    for _, record in sorted(utterances.items()):
        for seconds, similarity in record.get(DRIFT, []):
            by_time.setdefault(seconds, []).append((similarity, record.get("speaker")))
    curve = []
    for seconds in sorted(by_time):
        values, speakers = zip(*by_time[seconds])
        if len(values) < min_count:
            continue
        mean = bootstrap(values, speakers=speakers, **bootstrap_options)
        quartiles = np.percentile(values, [25, 75])
        point = DriftPoint(seconds, mean.value, mean.low, mean.high, *map(float, quartiles), len(values))
        curve.append(asdict(point))
    return curve
