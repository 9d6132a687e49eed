import numpy as np

from soundstorm.data.codebook import usage_and_perplexity


def test_usage_and_perplexity_by_hand():
    usage, perplexity = usage_and_perplexity(np.array([[8, 0, 0, 0], [2, 2, 2, 2], [4, 4, 0, 0]]))
    assert usage == [0.25, 1.0, 0.5]
    np.testing.assert_allclose(perplexity, [1.0, 4.0, 2.0])
