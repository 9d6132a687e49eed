"""Rates of semantic tokens and codec frames against each other."""

from dataclasses import replace

import numpy as np
import pytest

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.frame_ratio import FrameRatio

SEMANTIC = TokenizerInfo("semantic", "s", "f" * 64, 25.0, 1, 50, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "e" * 64, 50.0, 3, 64, 16000)
RATIOS = [FrameRatio(*pair) for pair in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 3), (4, 1), (3, 2), (256, 441)]]


@pytest.mark.parametrize(
    ("semantic", "acoustic", "ratio"),
    [(25, 50, (1, 2)), (50, 75, (2, 3)), (12.5, 50, (1, 4)), (50, 12.5, (4, 1)), (50, 44100 / 512, (256, 441)),
     (49.95, 86.13, (49.95, 86.13))],
)  # fmt: skip
def test_the_ratio_is_that_of_the_rates(semantic, acoustic, ratio):
    found = FrameRatio.of(replace(SEMANTIC, frame_rate=semantic), replace(ACOUSTIC, frame_rate=acoustic))
    assert found.tokens / found.frames == pytest.approx(ratio[0] / ratio[1], rel=1e-6)
    assert found.frames <= 1000


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_indices_equal_a_slow_twin_that_looks_for_the_middle_of_each_frame(ratio):
    for count in (0, 1, 2, 3, 7, 50):
        tokens, expected = np.arange(count), []
        while (2 * len(expected) + 1) * ratio.tokens < 2 * count * ratio.frames:  # the middle is within the tokens
            middle = (2 * len(expected) + 1) * ratio.tokens
            expected.append(sum(middle >= 2 * ratio.frames * (token + 1) for token in range(count)))
        assert ratio.upsample(tokens).tolist() == expected and ratio.num_frames(count) == len(expected)
        changes = [t for t in range(len(expected)) if t == 0 or expected[t] != expected[t - 1]]
        assert ratio.starts(0, len(expected)).tolist() == changes
        for begin in range(1, len(expected)):  # also within a token
            assert ratio.starts(begin, len(expected)).tolist() == sorted({begin} | {t for t in changes if t > begin})
        most = max(n for n in range(count * ratio.tokens + 2 * ratio.tokens + 2) if ratio.num_frames(n) <= count)
        assert ratio.token_of(count) == most


@pytest.mark.parametrize("repeat", [1, 2, 3, 4])
def test_one_to_k_is_repetition(repeat):
    tokens, ratio = np.arange(29, dtype=np.uint16), FrameRatio(1, repeat)
    np.testing.assert_array_equal(ratio.upsample(tokens), np.repeat(tokens, repeat))
    assert ratio.upsample(tokens).dtype == tokens.dtype
    assert ratio.starts(0, 11).tolist() == list(range(0, 11, repeat))
