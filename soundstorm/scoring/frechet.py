"""Fréchet distance between two sets of recordings, on features of any self-supervised model.

The published Fréchet audio distance has VGGish or CLAP as its encoder; figures of different encoders are not
comparable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.tokens.features import FeatureExtractor


@dataclass(frozen=True)
class Gaussian:
    """Mean ``(D,)`` and covariance ``(D, D)`` of windows of features."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int  # windows


def windows_of(features: FeatureExtractor, wavs: Iterable[np.ndarray], window_seconds: float) -> np.ndarray:
    """Means of features over whole windows of recordings ``(M, D)`` float64; the recordings at the features' rate."""
    size, found = max(1, round(window_seconds * features.frame_rate)), []
    for wav in wavs:
        (frames,) = features.extract([wav])
        whole = frames[: len(frames) // size * size].astype(np.float64)
        found.append(whole.reshape(-1, size, whole.shape[1]).mean(axis=1))
    return np.concatenate(found) if found else np.zeros((0, 1))


def gaussian_of(windows: np.ndarray) -> Gaussian:
    """Statistics of windows ``(M, D)``.

    Raises:
        ValueError: fewer than two windows.
    """
    if len(windows) < 2:
        raise InputError(f"a Fréchet distance needs two windows of features at least, got {len(windows)}")
    return Gaussian(windows.mean(axis=0), np.atleast_2d(np.cov(windows, rowvar=False)), len(windows))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the squared distance of two normal distributions."""
    root = _square_root(first.covariance)
    # The eigenvalues of C1 C2 are those of this symmetric matrix, which rounding cannot make complex.
    middle = np.linalg.eigvalsh(root @ second.covariance @ root)
    crossed = np.sqrt(np.clip(middle, 0.0, None)).sum()
    apart = float(((first.mean - second.mean) ** 2).sum())
    return max(0.0, apart + float(np.trace(first.covariance) + np.trace(second.covariance)) - 2.0 * float(crossed))


def _square_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
