"""How evenly the codes of a codebook are used."""

from __future__ import annotations

import numpy as np


def usage_and_perplexity(counts: np.ndarray) -> tuple[list[float], list[float]]:
    """Share of codes in use and exponential of the entropy, per level, of counts (Q, N)."""
    counts = np.asarray(counts, dtype=float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(1)
    return (counts > 0).mean(1).tolist(), np.exp(entropy).tolist()
