"""Which utterances make up which batch: a pure function of seed, epoch, rank and world size.

Every item carries its own seed, and a dataset draws all randomness of that item from it. So the examples of a
step do not depend on how many processes share it, nor on whether the run was interrupted before.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from soundstorm.data.errors import InputError

# What random numbers are for, in their seeds. Not 0: numpy takes (seed, epoch, 0) and (seed, epoch) for the same.
SHARES, ORDER, ITEM = 1, 2, 3


class SeededIndex(NamedTuple):
    """One visit to one utterance."""

    index: int  # in the dataset
    seed: tuple[int, ...]  # for numpy.random.default_rng
    share: float | None = None  # how long a window, in [0, 1) from shortest to longest; None: drawn by the seed


class BatchSampler:
    """Batches of utterances of similar length; every utterance once an epoch, over all ranks.

    A *global* batch is what one optimizer step sees on all ranks together; each rank takes every
    ``world_size``-th item of it. The number of batches is the same on every rank.
    """

    def __init__(
        self,
        durations: np.ndarray,
        *,
        batch_size: int | None = None,
        batch_seconds: float | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        drawn_seconds: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        """
        Args:
            durations: seconds of each utterance, ``(number of utterances,)``.
            drawn_seconds: seconds of the random window of each utterance for the ``share`` of each, where a dataset
                cuts some: those of like length then make a batch, which is hardly padded. None: of `durations`.
            batch_size: utterances in a global batch, or
            batch_seconds: longest padded size of a global batch, in seconds (number of items x longest item).
            seed: of the order and of the items.
            rank: this process.
            world_size: number of processes.
            shuffle: new batches in new order every epoch; otherwise always the same, for validation.
        """
        if (batch_size is None) == (batch_seconds is None):
            raise InputError(f"give one of batch_size ({batch_size}) and batch_seconds ({batch_seconds})")
        if len(durations) < world_size:
            raise InputError(f"{len(durations)} utterances cannot be shared by {world_size} processes")
        self.durations = np.asarray(durations, dtype=float)
        self._drawn_seconds = drawn_seconds if shuffle else None
        self.batch_size, self.batch_seconds = batch_size, batch_seconds
        self.seed, self.rank, self.world_size, self.shuffle = seed, rank, world_size, shuffle
        self.epoch = 0
        self.first_batch = 0  # of the epoch; those before were used by an earlier run

    def most_processes(self) -> int:
        """As many as get an item each of every batch, with no batch larger than asked for; at least 1."""
        if self.batch_size is not None:
            return self.batch_size
        return max(1, int(self.batch_seconds // self.longest()))

    def longest(self) -> float:
        """Seconds of the longest item that there can be in an epoch."""
        if self._drawn_seconds is None:
            return float(self.durations.max())
        return float(self._drawn_seconds(np.full(len(self.durations), np.nextafter(1.0, 0.0))).max())

    def global_batches(self) -> list[list[int]]:
        """All batches of the current epoch, as utterance indices."""
        return [batch.tolist() for batch in self._batches(0, self._shares())]

    def _shares(self) -> np.ndarray | None:
        """Of the windows of this epoch."""
        if self._drawn_seconds is None:
            return None
        return np.random.default_rng((self.seed, self.epoch, SHARES)).random(len(self.durations))

    def _batches(self, first: int, shares: np.ndarray | None) -> Iterator[np.ndarray]:
        epoch = self.epoch if self.shuffle else 0
        rng = np.random.default_rng((self.seed, epoch, ORDER))
        order = rng.permutation(len(self.durations))
        seconds = (self.durations if shares is None else self._drawn_seconds(shares))[order]
        if self.batch_seconds is not None:
            # Sorting a shuffled order by coarse length keeps padding small and mixes the batches anew. Lengths that
            # are drawn anew mix them by themselves.
            coarse = np.round(np.log2(np.maximum(seconds, 0.1)) * 4) if shares is None else seconds
            sorting = np.argsort(coarse, kind="stable")
            order, seconds = order[sorting], seconds[sorting]
        starts = self._starts(seconds)
        places = rng.permutation(len(starts)) if self.shuffle else np.arange(len(starts))
        ends = np.append(starts[1:], len(order))
        for place in places[first:]:
            yield order[starts[place] : ends[place]]

    def _starts(self, lengths: np.ndarray) -> np.ndarray:
        """Where batches begin in the order: each has as many items as fit, at least one for every rank.

        The last ones give each other items where otherwise too few would be left for the last. Only a set too small
        for that, such as one of a single batch and some, has a last batch that is larger than asked for.
        """
        starts, size, longest = array("q"), 0, 0.0
        for position, seconds in enumerate(memoryview(np.ascontiguousarray(lengths))):
            grown = max(longest, seconds)
            if self.batch_size is not None:
                full = size >= self.batch_size
            else:
                full = grown * (size + 1) > self.batch_seconds
            # A batch with fewer items than ranks would leave a rank without work.
            if not starts or full and size >= self.world_size:
                starts.append(position)
                size, grown = 0, seconds
            size, longest = size + 1, grown
        if len(lengths) < len(starts) * self.world_size:
            starts.pop()  # too few for a batch of their own
        begins = np.frombuffer(starts, dtype=np.int64)
        # What gives items is smaller than it was, and what takes some ends with one for every rank.
        return np.minimum(begins, len(lengths) - self.world_size * np.arange(len(begins), 0, -1))

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        epoch, shares = self.epoch if self.shuffle else 0, self._shares()
        for batch in self._batches(self.first_batch, shares):
            ours = batch[self.rank :: self.world_size].tolist()
            yield [
                SeededIndex(i, (self.seed, epoch, ITEM, i), None if shares is None else float(shares[i])) for i in ours
            ]

    def __len__(self) -> int:
        return sum(1 for _ in self._batches(self.first_batch, self._shares()))
