"""The random numbers behind SoundStorm's masks."""

import math

import numpy as np
import pytest

from soundstorm.data.datasets.dataset_configs import MaskingConfig, level_weights
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
    rng, config = np.random.default_rng(2), MaskingConfig(unprompted=0.15)
    share = np.mean([draw_mask_numbers(1000, 2, rng, config=config).prompt_end == 0 for _ in range(5000)])
    assert share == pytest.approx(0.15, abs=0.02)


def test_masks_over_the_grid_come_as_often_as_asked_and_with_any_ratio():
    rng, config = np.random.default_rng(3), MaskingConfig(grid=0.5)
    drawn = [draw_mask_numbers(200, 6, rng, config=config) for _ in range(4000)]
    grids = [draw.cells for draw in drawn if draw.cells is not None]
    assert len(grids) / len(drawn) == pytest.approx(0.5, abs=0.03)
    ratios = np.array([cells.mean() for cells in grids])
    histogram = np.histogram(ratios, bins=10, range=(0, 1))[0] / len(ratios)
    assert abs(histogram - 0.1).max() < 0.03  # uniform
    per_level = np.mean([cells.mean(axis=0) for cells in grids], axis=0)
    assert per_level == pytest.approx(np.full(6, 0.5), abs=0.03)


def test_every_draw_over_the_grid_hides_a_target_cell():
    rng, config = np.random.default_rng(4), MaskingConfig(grid=1.0)
    for _ in range(3000):
        draw = draw_mask_numbers(int(rng.integers(1, 4)), 2, rng, config=config)
        assert draw.cells[draw.prompt_end :].any()


@pytest.mark.parametrize("changes", [{"grid": 0.5}, {"noise": 0.1}, {"levels": "linear"}])
def test_the_papers_numbers_do_not_depend_on_the_other_kinds(changes):
    for seed in range(50):
        paper = draw_mask_numbers(30, 3, np.random.default_rng(seed))
        both = draw_mask_numbers(30, 3, np.random.default_rng(seed), config=MaskingConfig(**changes))
        assert paper.prompt_end == both.prompt_end and (paper.level == both.level or "levels" in changes)
        np.testing.assert_array_equal(paper.dropped, both.dropped)


def test_each_token_of_a_stage_has_a_bit_of_its_own_and_one_is_masked():
    rng, config = np.random.default_rng(7), MaskingConfig(levels="linear", grid=0.5)
    stages, both = np.zeros(2), 0
    for _ in range(2000):
        draw = draw_mask_numbers(int(rng.integers(1, 9)), 6, rng, config=config, groups=3)
        assert draw.dropped.shape[1] == 3 and draw.dropped[draw.prompt_end :].any()
        assert draw.cells is None or draw.cells[draw.prompt_end :].any()
        stages[draw.level] += 1
        both += (draw.dropped[:, 0] != draw.dropped[:, 1]).any()
    assert stages[0] / stages.sum() == pytest.approx(2 / 3, abs=0.04) and both > 500


def test_linear_levels_come_as_often_as_maskgct_has_them():
    rng, config = np.random.default_rng(5), MaskingConfig(levels="linear")
    drawn = [draw_mask_numbers(8, 4, rng, config=config) for _ in range(8000)]
    shares = np.bincount([draw.level for draw in drawn], minlength=4) / len(drawn)
    assert abs(shares - [0.4, 0.3, 0.2, 0.1]).max() < 0.02
    assert level_weights("uniform", 3) == (1, 1, 1) and level_weights("linear", 3) == (1.5, 1, 0.5)


def test_noise_is_the_share_of_cells_that_was_asked_for_and_any_code():
    rng, config = np.random.default_rng(6), MaskingConfig(noise=0.1)
    drawn = (draw_mask_numbers(50, 4, rng, config=config, codebook_size=8) for _ in range(500))
    noise = np.stack([draw.noise for draw in drawn])
    assert (noise >= 0).mean() == pytest.approx(0.1, abs=0.005)
    shares = np.bincount(noise[noise >= 0], minlength=8) / (noise >= 0).sum()
    assert len(shares) == 8 and abs(shares - 1 / 8).max() < 0.01


def test_the_papers_scheme_is_one_name():
    assert MaskingConfig(scheme="paper", unprompted=0.1, grid=0.5, noise=0.1) == MaskingConfig()
    for wrong in ({"scheme": "best"}, {"levels": "steep"}, {"grid_weights": "steep"}, {"noise": 1.1}):
        with pytest.raises(ValueError, match=rf"masking\.{next(iter(wrong))} is"):
            MaskingConfig(**wrong)
