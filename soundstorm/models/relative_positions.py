"""Relative positions as T5 has them: a learned number for each head and distance, added to the attention scores."""

import math

import torch
from torch import Tensor, nn


def distance_buckets(distance: Tensor, *, buckets: int, max_distance: int) -> Tensor:
    """Non-negative distances to ``0 .. buckets - 1``: each its own up to half of them, then logarithmically shared.

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

    def forward(self, due: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """The last columns of a sequence against all: ``(1, heads, n, K)``; only the numbers of columns matter.

        Args:
            due: ``(B, n)``.
            times, condition: ``(B, K)``.
        """
        new, columns = due.shape[1], torch.arange(times.shape[1], device=times.device)
        distance = columns[-new:, None] - columns
        return self.table(self._buckets[distance.clamp(0, self.max_distance)]).permute(2, 0, 1)[None]


class TimePositions(nn.Module):
    """Distances in time, between the frame that is to be predicted and the frame of each token seen.

    The conditioning is known in full, so its distances go both ways; it and the tokens to predict have tables of
    their own. So a token finds its own frame in the conditioning without having to learn to count.
    """

    def __init__(self, heads: int, *, buckets: int, max_distance: int):
        super().__init__()
        self.max_distance = max_distance
        self.table = nn.Embedding(2 * buckets, heads)
        nn.init.zeros_(self.table.weight)
        every = torch.arange(-max_distance, max_distance + 1)
        half = {"buckets": buckets // 2, "max_distance": max_distance}
        both = torch.where(every < 0, buckets // 2, 0) + distance_buckets(every.abs(), **half)
        past = buckets + distance_buckets(every, buckets=buckets, max_distance=max_distance)
        self.register_buffer("_buckets", torch.stack([past, both]), persistent=False)

    def forward(self, due: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """``(B, heads, n, K)``.

        Args:
            due: frame that each of the last columns predicts, int64 ``(B, n)``.
            times: frame of each column's own token, int64 ``(B, K)``.
            condition: whether that token is conditioning, ``(B, K)``.
        """
        distance = due[:, :, None] - times[:, None]
        place = distance.clamp(-self.max_distance, self.max_distance) + self.max_distance
        return self.table(self._buckets[condition[:, None].long(), place]).permute(0, 3, 1, 2)
