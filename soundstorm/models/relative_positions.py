"""Relative positions as T5 has them: a number for each head and distance, added to the attention scores."""

import math

import torch
from torch import Tensor, nn


def distance_buckets(distance: Tensor, *, buckets: int, max_distance: int) -> Tensor:
    """Non-negative distances to ``0 .. buckets - 1``: each its own up to half of them, then logarithmically
    shared.

    Args:
        distance: int64; negative ones count as 0.
        buckets: how many there are.
        max_distance: from here on all distances share the last bucket.
    """
    exact = buckets // 2
    distance = distance.clamp(min=0)
    logarithm = torch.log(distance.clamp(min=exact).float() / exact) / math.log(max_distance / exact)
    shared = exact + (logarithm * (buckets - exact)).long()
    return torch.where(distance < exact, distance, shared.clamp(max=buckets - 1))


class SequencePositions(nn.Module):
    """Distances along the sequence, backwards only: T5's decoder."""

    def __init__(self, heads: int, *, buckets: int, max_distance: int):
        super().__init__()
        self.max_distance = max_distance
        self.table = nn.Embedding(buckets, heads)
        nn.init.zeros_(self.table.weight)
        every = torch.arange(max_distance + 1)
        shared = distance_buckets(every, buckets=buckets, max_distance=max_distance)
        self.register_buffer("_buckets", shared, persistent=False)

    def forward(self, new: int, total: int) -> Tensor:
        """Biases ``(1, heads, new, total)`` of scores of the last ``new`` columns against all ``total``."""
        columns = torch.arange(total, device=self._buckets.device)
        distance = columns[total - new :, None] - columns
        return self.table(self._buckets[distance.clamp(0, self.max_distance)]).permute(2, 0, 1)[None]
