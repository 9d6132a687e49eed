"""Fréchet distance against its definition by the root of a matrix, and windows of features."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from soundstorm.scoring.frechet import frechet_distance, gaussian_of, windows_of


def sample(seed, count=50, dim=4, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) + shift


def test_the_distance_is_that_of_its_definition():
    first, second = gaussian_of(sample(0)), gaussian_of(sample(1, shift=2.0))
    crossed = np.trace(sqrtm(first.covariance @ second.covariance)).real
    apart = ((first.mean - second.mean) ** 2).sum()
    expected = apart + np.trace(first.covariance) + np.trace(second.covariance) - 2 * crossed
    assert frechet_distance(first, second) == pytest.approx(expected)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))


def test_it_is_zero_to_oneself_and_a_shift_counts_squared():
    windows = sample(0)
    assert frechet_distance(gaussian_of(windows), gaussian_of(windows)) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(gaussian_of(windows), gaussian_of(windows + 3.0)) == pytest.approx(4 * 9.0)


def test_fewer_windows_than_dimensions_give_a_number():
    assert np.isfinite(frechet_distance(gaussian_of(sample(0, count=3, dim=8)), gaussian_of(sample(1, count=2, dim=8))))
    with pytest.raises(ValueError, match="needs two windows of features at least, got 1"):
        gaussian_of(sample(0, count=1))


class Counting:
    """Frame t is (t, 1), at 10 frames a second."""

    frame_rate, sample_rate = 10.0, 10

    def extract(self, wavs):
        return [np.stack([np.arange(len(wav)), np.ones(len(wav))], 1).astype(np.float32) for wav in wavs]


def test_windows_are_means_of_whole_stretches_of_frames():
    windows = windows_of(Counting(), [np.zeros(25), np.zeros(9), np.zeros(10)], 1.0)
    np.testing.assert_array_equal(windows, [[4.5, 1], [14.5, 1], [4.5, 1]])
