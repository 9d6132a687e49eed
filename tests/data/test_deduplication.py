"""Semantic tokens without repeats."""

import numpy as np

from soundstorm.data.deduplication import deduplicate


def test_repeats_are_removed_and_nothing_else():
    assert deduplicate(np.array([4, 4, 1, 4, 4, 4, 2])).tolist() == [4, 1, 4, 2]
    assert deduplicate(np.array([], dtype=np.int64)).tolist() == []


def test_deduplicating_keeps_the_order():
    assert deduplicate(np.array([3, 3, 1, 1, 1, 3, 0])).tolist() == [3, 1, 3, 0]
    assert deduplicate(np.array([], dtype=np.int64)).tolist() == []
