"""The mel filters."""

import numpy as np

from soundstorm.data.mel import mel_filters


def test_mel_filters_are_triangles_that_meet():
    filters = mel_filters(16000, 1024, 40)
    assert filters.shape == (513, 40) and filters.min() >= 0 and filters.max() <= 1
    middle = filters[(filters.argmax(0)[3] + 1) : filters.argmax(0)[-4]]
    np.testing.assert_allclose(middle.sum(1), 1, atol=1e-4)  # neighbours overlap by half
