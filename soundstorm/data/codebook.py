"""The codebooks of a codec: which ones belong together, and how evenly their codes are used."""

from __future__ import annotations

import numpy as np


def levels_of_stage(stage: int, groups: int) -> range:
    """Codebooks of one stage of the residual: with G groups, ``s * G`` to ``s * G + G - 1`` of stage s.

    They quantize different parts of a frame and know nothing of each other; without groups it is one. (The
    order of HiFi-Codec: stage 1 of every group, then stage 2 of every group.)
    """
    return range(stage * groups, (stage + 1) * groups)


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
