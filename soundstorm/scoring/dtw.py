"""Distances between sequences of different lengths: dynamic time warping of many pairs at a time."""

from __future__ import annotations

import numpy as np


def angular(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle between vectors over pi: ``(B, T1, D)`` and ``(B, T2, D)`` to ``(B, T1, T2)``."""
    first, second = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-8) for x in (first, second))
    return np.arccos(np.clip(first @ second.transpose(0, 2, 1), -1.0, 1.0)) / np.pi


def mismatch(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of levels whose tokens differ: ``(B, T1, Q)`` and ``(B, T2, Q)`` to ``(B, T1, T2)``.

    Of one level it orders pairs as the angle between one-hot vectors does.
    """
    return (first[:, :, None] != second[:, None]).mean(-1)


def dtw_distance(distances: np.ndarray, first_lengths: np.ndarray, second_lengths: np.ndarray) -> np.ndarray:
    """Mean distance along the best path from corner to corner; of equally good paths, the shortest.

    Args:
        distances: ``(B, T1, T2)`` between frames, padded.
        first_lengths: frames of the first sequence of each pair ``(B,)``.
        second_lengths: of the second.

    Returns:
        ``(B,)``
    """
    pairs, rows, columns = distances.shape
    distances = np.ascontiguousarray(distances.transpose(1, 2, 0), dtype=np.float64)
    cost = np.full((rows + 1, columns + 1, pairs), np.inf)
    steps = np.zeros((rows + 1, columns + 1, pairs), dtype=np.int32)
    cost[0, 0] = 0.0
    for i in range(rows):
        for j in range(columns):
            best, length = cost[i, j], steps[i, j]
            for other, other_length in ((cost[i, j + 1], steps[i, j + 1]), (cost[i + 1, j], steps[i + 1, j])):
                better = (other < best) | ((other == best) & (other_length < length))
                best, length = np.where(better, other, best), np.where(better, other_length, length)
            cost[i + 1, j + 1], steps[i + 1, j + 1] = best + distances[i, j], length + 1
    ends = first_lengths, second_lengths, np.arange(pairs)
    return cost[ends] / steps[ends]
