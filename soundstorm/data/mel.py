"""The mel scale and its filters."""

import math

import numpy as np


def mel_frequencies(low: float, high: float, num: int) -> np.ndarray:
    """Frequencies in Hz ``(num,)``, evenly spaced on the HTK mel scale from ``low`` to ``high``."""
    mels = np.linspace(2595 * math.log10(1 + low / 700), 2595 * math.log10(1 + high / 700), num)
    return 700 * (10 ** (mels / 2595) - 1)


def mel_filters(sample_rate: int, n_fft: int, num_bands: int) -> np.ndarray:
    """Triangular filters, float64 ``(n_fft / 2 + 1, num_bands)``, of height 1, from 0 Hz to Nyquist."""
    edges = mel_frequencies(0, sample_rate / 2, num_bands + 2)
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    # In a short window a low band may contain no bin at all; it then stays zero.
    return np.maximum(0, np.minimum(rising, falling))
