"""How evenly the codes of a codebook are used."""

from __future__ import annotations

import numpy as np


def usage_and_perplexity(counts: np.ndarray) -> tuple[list[float], list[float]]:
    """Share of codes in use and perplexity of each level.

    Perplexity is 2 to the entropy in bits: the number of equally likely codes that would tell as much.

    Args:
        counts: occurrences of each code ``(Q, N)``.
    """
    usage, perplexity = [], []
    for row in np.asarray(counts, dtype=float):
        shares = row[row > 0] / max(row.sum(), 1)
        usage.append(len(shares) / len(row))
        perplexity.append(float(2 ** -np.sum(shares * np.log2(shares))))
    return usage, perplexity
