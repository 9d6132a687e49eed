"""Crops of AudioLM's three stages."""

import numpy as np
import pytest

from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.audiolm_dataset import AcousticRows, SemanticRows
from soundstorm.data.datasets.dataset_configs import AudioLMDataConfig
from soundstorm.data.sampler import SeededIndex

SEMANTIC = TokenizerInfo("semantic", "s", "f" * 64, 25.0, 1, 60, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "e" * 64, 50.0, 3, 60, 16000)
LAYOUT = {"semantic_size": 60, "num_levels": 3, "coarse_levels": 2, "codebook_size": 60}
CONFIG = AudioLMDataConfig(coarse_levels=2, semantic_seconds=0.8, coarse_seconds=0.6, fine_seconds=0.4)


@pytest.fixture
def archives(tmp_path):
    """Codes at level 0 equal the semantic token of their frame, those at level q are q more."""
    frames = {"a": 60, "b": 100, "c": 20}
    write_tokens(tmp_path / "semantic", ((u, np.arange(n // 2) // 2) for u, n in frames.items()), SEMANTIC)
    codes = {u: np.arange(n)[:, None] // 4 + np.arange(3) for u, n in frames.items()}
    write_tokens(tmp_path / "acoustic", codes.items(), ACOUSTIC)
    return TokenArchive(tmp_path / "semantic.scp"), TokenArchive(tmp_path / "acoustic.scp")


def acoustic_rows(archives, stage, config=CONFIG):
    return AcousticRows(AlignedTokens(*archives, config.window(stage)), stage, stage_layout(stage, **LAYOUT), 2)


@pytest.mark.parametrize("seed", range(8))
def test_a_coarse_crop_has_the_semantic_tokens_of_its_own_frames(archives, seed):
    row = acoustic_rows(archives, "coarse")[SeededIndex(1, (seed,))]
    assert row.condition.sum() == 15 and len(row.ids) == 15 + 1 + 30 * 2  # 0.6 s at 25 and at 50 frames/s
    first = row.ids[16::2] - 60
    np.testing.assert_array_equal(np.repeat(row.ids[:15], 2), first)
    np.testing.assert_array_equal(row.ids[17::2] - 120, first + 1)


def test_a_fine_crop_has_coarse_codes_before_fine_ones(archives):
    row = acoustic_rows(archives, "fine")[SeededIndex(0, (3,))]
    assert row.condition.sum() == 20 * 2 and len(row.ids) == 20 * 2 + 1 + 20
    np.testing.assert_array_equal(row.ids[0:40:2], row.classes[40:-1] - 2)


@pytest.mark.parametrize("seed", range(4))
def test_an_acoustic_crop_is_a_coarse_one_without_semantic_tokens(archives, seed):
    row, coarse = (acoustic_rows(archives, name)[SeededIndex(1, (seed,))] for name in ("acoustic", "coarse"))
    assert not row.condition.any() and row.ids[0] == 120
    np.testing.assert_array_equal(row.ids[1:], coarse.ids[16:] - 60)
    np.testing.assert_array_equal(row.classes, coarse.classes[15:])


def test_an_utterance_shorter_than_the_crop_is_taken_whole(archives):
    row = acoustic_rows(archives, "coarse")[SeededIndex(2, (0,))]
    assert row.condition.sum() == 10 and len(row.ids) == 10 + 1 + 20 * 2


def test_crops_have_one_length_unless_a_shortest_is_given(archives):
    whole = acoustic_rows(archives, "coarse")
    assert {len(whole[SeededIndex(1, (seed,))].ids) for seed in range(20)} == {76}
    varied = acoustic_rows(archives, "coarse", AudioLMDataConfig(coarse_levels=2, coarse_seconds=0.6, min_seconds=0.2))
    lengths = {len(varied[SeededIndex(1, (seed,))].ids) for seed in range(20)}
    assert len(lengths) > 5 and max(lengths) <= 76


def test_without_repeats_a_coarse_row_ends_with_its_utterance_only(archives):
    tokens = AlignedTokens(*archives, CONFIG.window("coarse"))
    layout = stage_layout("coarse", **LAYOUT, deduplicate=True)
    rows, ends = AcousticRows(tokens, "coarse", layout, 2, deduplicate=True), set()
    for seed in range(150):
        row = rows[SeededIndex(1, (seed,))]
        condition = row.ids[row.condition]
        assert len(condition) == 8 and (np.diff(condition) == 1).all()  # of 15 tokens, each twice
        complete = tokens.bounds(SeededIndex(1, (seed,)), np.random.default_rng((seed,))).stop == 100
        assert (row.levels[-1], row.classes[-1]) == ((0, 60) if complete else (-1, -1))
        ends.add(complete)
    assert ends == {True, False}


def semantic_rows(archives, **options):
    return SemanticRows(archives[0], stage_layout("semantic", **LAYOUT), CONFIG.window("semantic"), **options)


def test_a_semantic_crop_has_no_repeats_and_ends_with_its_utterance_only(archives):
    rows = semantic_rows(archives)
    ends = set()
    for seed in range(60):
        row = rows[SeededIndex(1, (seed,))]
        assert row.ids[0] == 60 and (np.diff(row.ids[1:]) == 1).all()
        complete = row.levels[-1] == 0
        assert row.classes[-1] == (60 if complete else -1)
        assert row.ids[-1] == 24 or not complete  # the last token of 50 frames, each token lasting two
        ends.add(complete)
    assert ends == {True, False}
    short = rows[SeededIndex(2, (0,))]
    assert short.ids.tolist() == [60, 0, 1, 2, 3, 4] and short.classes[-1] == 60


def test_a_semantic_crop_with_repeats_has_a_token_for_every_frame(archives):
    layout = stage_layout("semantic", **LAYOUT, semantic_repeats=True)
    rows = SemanticRows(archives[0], layout, CONFIG.window("semantic"), random_windows=False)
    row = rows[SeededIndex(2, (0,))]
    assert row.ids.tolist() == [60, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4] and row.classes[-1] == -1


def test_validation_sees_beginnings(archives):
    rows = semantic_rows(archives, random_windows=False)
    assert rows[SeededIndex(1, (0,))].ids.tolist() == rows[SeededIndex(1, (5,))].ids.tolist() == [60, *range(10)]


def test_a_batch_is_padded_with_what_nobody_predicts(archives):
    rows = acoustic_rows(archives, "coarse")
    items = [rows[SeededIndex(1, (0,))], rows[SeededIndex(2, (0,))]]
    batch = rows.collate(items)
    assert {tuple(tensor.shape) for tensor in batch.values()} == {(2, 76)}
    for b, item in enumerate(items):
        for name, tensor in batch.items():
            np.testing.assert_array_equal(tensor[b, : len(item.ids)].numpy(), getattr(item, name))
        assert (batch["levels"][b, len(item.ids) :] == -1).all()


def test_acoustic_tokens_are_no_semantic_ones(archives):
    with pytest.raises(ValueError, match="holds acoustic tokens, expected semantic tokens"):
        SemanticRows(archives[1], stage_layout("semantic", **LAYOUT), CONFIG.window("semantic"))
