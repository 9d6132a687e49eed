"""Rows of AudioLM: ids, order, what each token predicts."""

import numpy as np
import pytest

from soundstorm.data.audiolm_layout import NONE, Layout, fine_condition, stage_layout
from soundstorm.data.datasets.dataset_configs import AudioLMDataConfig

SIZES = {"semantic_size": 10, "num_levels": 5, "coarse_levels": 2, "codebook_size": 4}


def test_each_vocabulary_has_ids_of_its_own():
    coarse, fine = stage_layout("coarse", **SIZES), stage_layout("fine", **SIZES)
    assert (coarse.start_id, coarse.vocab_size) == (10 + 2 * 4, 10 + 2 * 4 + 1)
    assert (fine.condition_size, fine.num_levels, fine.vocab_size) == (2 * 4, 3, 5 * 4 + 1)
    every = np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), -1).reshape(-1, 2)
    ids = set(coarse.target_ids(every).tolist())
    assert ids == set(range(10, 18))


def test_a_coarse_row_is_the_conditioning_then_all_levels_frame_by_frame():
    codes = np.array([[1, 2], [3, 0], [2, 2]])
    row = stage_layout("coarse", **SIZES).row(np.array([7, 5]), np.array([0, 2]), codes)
    assert row.ids.tolist() == [7, 5, 18, 10 + 1, 14 + 2, 10 + 3, 14 + 0, 10 + 2, 14 + 2]
    assert row.times.tolist() == [0, 2, 0, 0, 0, 1, 1, 2, 2]
    assert row.due.tolist() == [0, 2, 0, 0, 1, 1, 2, 2, 3]
    assert row.condition.tolist() == [True] * 2 + [False] * 7
    assert row.levels.tolist() == [NONE, NONE, 0, 1, 0, 1, 0, 1, NONE]
    assert row.classes.tolist() == [NONE, NONE, 1, 2, 3, 0, 2, 2, NONE]


def test_a_fine_row_sees_coarse_codes_and_no_semantic_tokens():
    row = stage_layout("fine", **SIZES).row(*fine_condition(np.array([[1, 2], [3, 0]]), 4), np.array([[0, 1, 2]] * 2))
    assert row.ids.tolist() == [1, 6, 3, 4, 20, 8, 13, 18, 8, 13, 18]
    assert row.times.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("complete", [True, False])
def test_a_semantic_row_ends_where_its_utterance_ends(complete):
    layout, nothing = Layout(0, 1, 10, ends=True), np.zeros(0, np.int64)
    row = layout.row(nothing, nothing, np.array([[3], [9]]), complete=complete)
    assert row.ids.tolist() == [10, 3, 9]
    assert row.levels.tolist() == [0, 0, 0 if complete else NONE]
    assert row.classes.tolist() == [3, 9, 10 if complete else NONE]


@pytest.mark.parametrize("levels, coarse", [(12, 4), (4, 1), (2, 1), (8, 2)])
def test_a_third_of_the_levels_is_coarse_by_default(levels, coarse):
    assert AudioLMDataConfig().coarse_levels_of(levels) == coarse


@pytest.mark.parametrize(
    "config, levels, message",
    [
        ({"coarse_levels": 5}, 4, "coarse_levels is 5, expected no more than the codec's 4 levels"),
        ({"deduplicate": True, "semantic_repeats": True}, 4, "are both true: the coarse stage would not see"),
        ({"coarse_levels": -1}, 4, "coarse_levels is -1, expected at least 0"),
        ({"fine_seconds": 0}, 4, "fine_seconds is 0, expected more than 0"),
    ],
)
def test_impossible_divisions_are_refused(config, levels, message):
    with pytest.raises(ValueError, match=message):
        AudioLMDataConfig(**config).coarse_levels_of(levels)


@pytest.mark.parametrize("config, levels", [({"coarse_levels": 3}, 3), ({}, 1)])
def test_all_levels_may_be_coarse_and_then_there_is_no_fine_stage(config, levels):
    config = AudioLMDataConfig(**config)
    assert config.coarse_levels_of(levels, "coarse") == config.coarse_levels_of(levels, "acoustic") == levels
    with pytest.raises(ValueError, match="leaves none to the fine stage; lower it, or train no fine stage"):
        config.coarse_levels_of(levels, "fine")


def test_the_acoustic_stage_is_the_coarse_one_without_conditioning():
    layout, nothing = stage_layout("acoustic", **SIZES), np.zeros(0, np.int64)
    assert layout == Layout(0, 2, 4)
    assert layout.row(nothing, nothing, np.array([[1, 2]])).ids.tolist() == [8, 1, 4 + 2]
    assert AudioLMDataConfig(coarse_seconds=7.0).seconds("acoustic") == 7.0


def test_a_semantic_stage_with_repeats_has_no_end_of_its_own():
    assert stage_layout("semantic", **SIZES).ends and not stage_layout("semantic", **SIZES, semantic_repeats=True).ends


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="--stage is 'medium', expected one of semantic, coarse, fine, acoustic"):
        stage_layout("medium", **SIZES)
