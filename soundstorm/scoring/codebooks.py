"""How much of each codebook a corpus uses, from the acoustic tokens themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenArchive


@dataclass(frozen=True)
class LevelUsage:
    """Of one RVQ level."""

    level: int  # 0 is the coarsest
    usage: float  # per cent of the codes that occur
    perplexity: float  # 2 to the entropy in bits: the number of equally likely codes that would tell as much

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for JSON."""
        return asdict(self)


def codebook_usage(scp: Path) -> list[LevelUsage]:
    """Count the codes of an archive, utterance by utterance."""
    archive = TokenArchive(scp)
    counts = np.zeros((archive.info.num_levels, archive.info.codebook_size), dtype=np.int64)
    for utt_id in archive.ids:
        tokens = archive[utt_id].reshape(-1, archive.info.num_levels)  # (T, Q)
        for level in range(archive.info.num_levels):
            counts[level] += np.bincount(tokens[:, level], minlength=archive.info.codebook_size)
    result = []
    for level, row in enumerate(counts):
        shares = row[row > 0] / row.sum()
        entropy = -float(np.sum(shares * np.log2(shares)))
        result.append(LevelUsage(level, 100.0 * len(shares) / len(row), float(2**entropy)))
    return result
