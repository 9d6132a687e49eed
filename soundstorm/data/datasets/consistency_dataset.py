"""Pairs of crops of one recording, for the acoustic consistency network."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from soundstorm.data.audio import Utterances, normalize, num_samples
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.data.datasets.dataset_parts import OfUtterances, lengths, pad
from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex


def draw_crops(
    num: int, shortest: int, longest: int, generator: np.random.Generator
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two pieces of `num` samples that do not overlap, each as (start, end), in random order.

    Their lengths are uniform between the shortest and the longest allowed, where half of the recording is the
    most; what is left over is spread before, between and after.
    """
    longest = min(longest, num // 2)
    if longest < shortest:
        raise InputError(f"{num} samples do not hold two crops of {shortest}")
    first, second = (int(n) for n in generator.integers(shortest, longest, endpoint=True, size=2))
    before, until = sorted(int(n) for n in generator.integers(num - first - second, endpoint=True, size=2))
    crops = ((before, before + first), (until + first, until + first + second))
    return crops if generator.random() < 0.5 else crops[::-1]


def _remedy(durations: np.ndarray) -> str:
    if len(durations) < 2:
        return "add recordings to this set"
    most = int((float(np.sort(durations)[-2]) - 0.01) * 50) / 100  # half of the second longest, rounded down
    return f"lower crops.min_seconds to {most:g} or less, or add longer recordings to this set"


class ConsistencyDataset(OfUtterances):
    """Two crops of each recording that is long enough."""

    def __init__(self, utterances: Utterances, config: CropConfig, *, do_normalize: bool):
        """Args: recordings, lengths of crops, whether the model wants zero mean and unit variance."""
        durations = utterances.durations
        rows = np.flatnonzero(durations >= 2 * config.min_seconds + 0.01)
        if len(rows) < 2:
            raise InputError(
                f"{utterances.data_dir}: {len(rows)} of {len(utterances.ids)} recordings hold two crops of "
                f"{config.min_seconds} s, at least 2 are needed; {_remedy(durations)}"
            )
        self.ids, self.durations = utterances.ids.at(rows), durations[rows]
        self._utterances, self._do_normalize = utterances, do_normalize
        self._shortest = num_samples(config.min_seconds, utterances.sample_rate)
        self._longest = num_samples(config.max_seconds, utterances.sample_rate)

    def __getitem__(self, item: SeededIndex) -> dict[str, np.ndarray]:
        crops: list[tuple[int, int]] = []

        def around_both(length: int) -> slice:
            crops[:] = draw_crops(length, self._shortest, self._longest, np.random.default_rng(item.seed))
            return slice(min(crops)[0], max(crops)[1])

        wav = self._utterances.read(self.ids[item.index], around_both)
        before = min(crops)[0]
        pieces = [wav[start - before : end - before] for start, end in crops]
        first, second = [normalize(piece) for piece in pieces] if self._do_normalize else pieces
        return {"first": first, "second": second}

    def collate(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """All first crops, then all second ones: wavs (2B, S) and lengths (2B,)."""
        wavs = [item[name] for name in ("first", "second") for item in items]
        return {"wavs": pad(wavs), "lengths": lengths(wavs)}
