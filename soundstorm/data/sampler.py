"""Which utterances make up which batch: a pure function of seed, epoch, rank and world size.

Every item carries its own seed, and a dataset draws all randomness of that item from it. So the examples of a step do
not depend on how many processes share it, nor on whether the run was interrupted before.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Draw(NamedTuple):
    """One visit to one utterance."""

    index: int  # in the dataset
    seed: tuple[int, ...]  # for numpy.random.default_rng


class BatchSampler:
    """Batches of utterances of similar length; every utterance once an epoch, over all ranks.

    A *global* batch is what one optimizer step sees on all ranks together; each rank takes every ``world_size``-th
    item of it. The number of batches is the same on every rank.
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
    ):
        """
        Args:
            durations: seconds of each utterance, ``(number of utterances,)``.
            batch_size: utterances in a global batch, or
            batch_seconds: longest padded size of a global batch, in seconds (number of items x longest item).
            seed: of the order and of the items.
            rank: this process.
            world_size: number of processes.
            shuffle: new batches in new order every epoch; otherwise always the same, for validation.
        """
        if (batch_size is None) == (batch_seconds is None):
            raise ValueError(f"give one of batch_size ({batch_size}) and batch_seconds ({batch_seconds})")
        if len(durations) < world_size:
            raise ValueError(f"{len(durations)} utterances cannot be shared by {world_size} processes")
        self.durations = np.asarray(durations, dtype=float)
        self.batch_size, self.batch_seconds = batch_size, batch_seconds
        self.seed, self.rank, self.world_size, self.shuffle = seed, rank, world_size, shuffle
        self.epoch = 0

    def global_batches(self) -> list[list[int]]:
        """All batches of the current epoch, as utterance indices."""
        epoch = self.epoch if self.shuffle else 0
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.durations))
        if self.batch_seconds is not None:
            # Sorting a shuffled order by coarse length keeps padding small and the company of an utterance changing.
            coarse = np.round(np.log2(np.maximum(self.durations[order], 0.1)) * 4)
            order = order[np.argsort(coarse, kind="stable")]
        batches: list[list[int]] = []
        current: list[int] = []
        longest = 0.0
        for index in order:
            grown = max(longest, self.durations[index])
            if self.batch_size is not None:
                full = len(current) == self.batch_size
            else:
                full = grown * (len(current) + 1) > self.batch_seconds
            # A batch with fewer items than ranks would leave a rank without work.
            if full and len(current) >= self.world_size:
                batches.append(current)
                current, grown = [], self.durations[index]
            current.append(int(index))
            longest = grown
        if len(current) >= self.world_size:
            batches.append(current)
        elif current:
            batches[-1].extend(current)
        if self.shuffle:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch if self.shuffle else 0
        for batch in self.global_batches():
            yield [Draw(i, (self.seed, epoch, i)) for i in batch[self.rank :: self.world_size]]

    def __len__(self) -> int:
        return len(self.global_batches())
