"""The random numbers behind SoundStorm's masks."""

import math

import numpy as np
import pytest

from soundstorm.data.datasets.masked_tokens_dataset import draw_mask_numbers


def test_draws_have_the_distribution_of_the_paper():
    rng = np.random.default_rng(0)
    frames, levels, draws = 40, 6, 20000
    drawn = [draw_mask_numbers(frames, levels, rng) for _ in range(draws)]
    ends = np.bincount([d.prompt_end for d in drawn], minlength=frames) / draws
    assert len(ends) == frames and abs(ends - 1 / frames).max() < 0.005
    each = np.bincount([d.level for d in drawn], minlength=levels) / draws
    assert abs(each - 1 / levels).max() < 0.015
    # E[cos u] = 2 / pi, and its spread is that of one ratio per example, not of one per frame
    ratios = np.array([d.dropped.mean() for d in drawn])
    assert ratios.mean() == pytest.approx(2 / math.pi, abs=0.01)
    assert ratios.std() == pytest.approx(math.sqrt(0.5 - 4 / math.pi**2 + (2 / math.pi - 0.5) / frames), abs=0.01)


def test_every_draw_masks_at_least_one_target_frame():
    rng = np.random.default_rng(1)
    for _ in range(3000):
        frames = int(rng.integers(1, 5))
        draw = draw_mask_numbers(frames, 2, rng)
        assert 0 <= draw.prompt_end < frames
        assert draw.dropped[draw.prompt_end :].any()


def test_unprompted_examples_come_as_often_as_asked():
    rng = np.random.default_rng(2)
    share = np.mean([draw_mask_numbers(1000, 2, rng, unprompted=0.15).prompt_end == 0 for _ in range(5000)])
    assert share == pytest.approx(0.15, abs=0.02)
