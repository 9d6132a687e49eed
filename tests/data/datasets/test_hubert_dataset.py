"""The spans that HuBERT's pre-training masks."""

import numpy as np
import pytest

from soundstorm.data.datasets.hubert_dataset import draw_span_mask


def slow_mask(num_frames, starts, span):
    mask = [False] * num_frames
    for start in starts:
        for frame in range(start, start + span):
            mask[frame] = True
    return mask


def test_a_mask_is_made_of_whole_spans():
    for seed in range(50):
        mask = draw_span_mask(100, probability=0.08, span=10, rng=np.random.default_rng(seed))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
        assert all(end - start >= 10 for start, end in zip(edges[::2], edges[1::2], strict=True))


def test_the_share_of_masked_frames_is_that_of_random_starts_without_replacement():
    rng, twin = np.random.default_rng(0), np.random.default_rng(1)
    got = np.mean([draw_span_mask(500, probability=0.08, span=10, rng=rng).mean() for _ in range(300)])
    wanted = np.mean([slow_mask(500, twin.permutation(491)[:40], 10) for _ in range(300)])
    assert got == pytest.approx(wanted, abs=0.01) and 0.5 < got < 0.6


@pytest.mark.parametrize("num_frames", [1, 2, 9, 10, 11])
def test_a_short_example_has_a_masked_frame_too(num_frames):
    mask = draw_span_mask(num_frames, probability=0.01, span=10, rng=np.random.default_rng(0))
    assert mask.shape == (num_frames,) and mask.any()


def test_the_same_draw_gives_the_same_mask():
    streams = [np.random.default_rng(seed) for seed in ((1, 2), (1, 2), (1, 3))]
    masks = [draw_span_mask(200, probability=0.08, span=10, rng=rng) for rng in streams]
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])
