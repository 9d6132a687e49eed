"""T5's relative positions."""

import math

import torch

from soundstorm.models.relative_positions import SequencePositions, distance_buckets


def slow_bucket(distance, buckets, max_distance):
    exact = buckets // 2
    if distance < exact:
        return distance
    share = math.log(distance / exact) / math.log(max_distance / exact)
    return min(buckets - 1, exact + int(share * (buckets - exact)))


def test_buckets_equal_their_slow_twin():
    got = distance_buckets(torch.arange(300), buckets=32, max_distance=128)
    # Where the logarithm falls on a whole number rounding decides; one bucket off there is no error.
    off = [int(d) for d in range(300) if int(got[d]) != slow_bucket(d, 32, 128)]
    assert set(off) <= {32, 64} and all(abs(int(got[d]) - slow_bucket(d, 32, 128)) == 1 for d in off)


def test_buckets_are_exact_then_shared_then_one():
    got = distance_buckets(torch.arange(400), buckets=32, max_distance=128).tolist()
    assert got[:16] == list(range(16))
    assert all(0 <= b - a <= 1 for a, b in zip(got, got[1:], strict=False))
    assert set(got[128:]) == {31} and len(set(got)) == 32


def test_along_the_sequence_only_the_distance_counts():
    positions = SequencePositions(2, buckets=8, max_distance=20)
    torch.nn.init.normal_(positions.table.weight, generator=torch.Generator().manual_seed(0))
    bias = positions(6, 40)
    assert bias.shape == (1, 2, 6, 40)
    for row, query in enumerate(range(34, 40)):
        for key in range(query + 1):
            bucket = int(distance_buckets(torch.tensor(query - key), buckets=8, max_distance=20))
            torch.testing.assert_close(bias[0, :, row, key], positions.table.weight[bucket])
