"""Batches by length."""

import numpy as np
import pytest

from soundstorm.data.batching import batch_by_length


@pytest.mark.parametrize("sort", [True, False])
def test_every_item_once_and_no_batch_over_the_budget(sort):
    lengths = np.random.default_rng(0).integers(1, 100, 60).tolist()
    batches = list(batch_by_length(lengths, 250, sort=sort))
    assert sorted(i for batch in batches for i in batch) == list(range(60))
    assert all(max(lengths[i] for i in batch) * len(batch) <= 250 for batch in batches)
    # No batch could have taken the next item as well.
    for batch, following in zip(batches, batches[1:]):
        grown = [*batch, following[0]]
        assert max(lengths[i] for i in grown) * len(grown) > 250


def test_similar_lengths_together_or_the_order_given():
    assert list(batch_by_length([9, 1, 8, 2], 18)) == [[1, 3], [2, 0]]
    assert list(batch_by_length([9, 1, 8, 2], 18, sort=False)) == [[0, 1], [2, 3]]


def test_an_item_over_the_budget_is_alone():
    assert list(batch_by_length([5, 50, 5], 10, sort=False)) == [[0], [1], [2]]
    assert list(batch_by_length([3.0, 4.0], 0.0)) == [[0], [1]]
    assert list(batch_by_length([], 10)) == []
