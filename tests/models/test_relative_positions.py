"""T5's relative positions, along the sequence and in time."""

import math

import pytest
import torch

from soundstorm.models.relative_positions import SequencePositions, TimePositions, distance_buckets


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


def numbered(positions):
    torch.nn.init.normal_(positions.table.weight, generator=torch.Generator().manual_seed(0))
    return positions


def test_along_the_sequence_only_the_distance_counts():
    positions = numbered(SequencePositions(2, buckets=8, max_distance=20))
    columns, nothing = torch.arange(40)[None], torch.zeros(1, 40, dtype=torch.bool)
    bias = positions(columns[:, -6:], columns, nothing)
    assert bias.shape == (1, 2, 6, 40)
    for row, query in enumerate(range(34, 40)):
        for key in range(query + 1):
            bucket = int(distance_buckets(torch.tensor(query - key), buckets=8, max_distance=20))
            torch.testing.assert_close(bias[0, :, row, key], positions.table.weight[bucket])


def test_in_time_conditioning_is_found_both_ways_and_apart_from_the_target():
    positions = numbered(TimePositions(1, buckets=8, max_distance=20))
    times, condition = torch.tensor([[0, 1, 2, 3, 0, 1]]), torch.tensor([[True] * 4 + [False] * 2])
    bias = positions(torch.tensor([[2, 2]]), times, condition)[0, 0].detach()
    assert torch.equal(bias[0], bias[1])  # the column does not matter, the frame that is due does
    assert len({round(float(x), 5) for x in bias[0]}) == 6  # frames before, at and after it; the target's own
    later = positions(torch.tensor([[12]]), times + 10, condition)[0, 0]
    torch.testing.assert_close(later[0], bias[0])


@pytest.mark.parametrize("kind", [SequencePositions, TimePositions])
def test_far_distances_have_a_number_too(kind):
    positions = numbered(kind(1, buckets=8, max_distance=20))
    times = torch.arange(0, 10_000, 100)[None]
    assert positions(times, times, torch.ones_like(times, dtype=torch.bool)).isfinite().all()
