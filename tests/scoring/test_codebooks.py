import numpy as np
import pytest

from soundstorm.data.archive import TokenizerInfo, write_tokens
from soundstorm.scoring.codebooks import codebook_usage


def test_usage_and_perplexity_of_known_codes(tmp_path):
    info = TokenizerInfo("acoustic", "x", "f" * 64, 50.0, 2, 8, 16000)
    tokens = np.stack([np.tile([0, 1, 2, 3], 5), np.zeros(20)], axis=1).astype(np.uint16)
    write_tokens(tmp_path / "acoustic", [("a", tokens[:12]), ("b", tokens[12:])], info)
    even, collapsed = codebook_usage(tmp_path / "acoustic.scp")
    assert (even.level, even.usage, even.perplexity) == (0, 50.0, pytest.approx(4.0))
    assert (collapsed.usage, collapsed.perplexity) == (12.5, pytest.approx(1.0))
