"""How much of each codebook a corpus uses, from the acoustic tokens themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from soundstorm.data.archive import TokenArchive, count_codes
from soundstorm.data.codebook import usage_and_perplexity


@dataclass(frozen=True)
class LevelUsage:
    """Of one RVQ level."""

    level: int  # 0 is the coarsest
    usage: float  # per cent of the codes that occur
    perplexity: float  # of the codes

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for JSON."""
        return asdict(self)


def codebook_usage(scp: Path) -> list[LevelUsage]:
    """Count the codes of an archive, utterance by utterance."""
    counts, _ = count_codes(TokenArchive(scp))
    levels = enumerate(zip(*usage_and_perplexity(counts)))
    return [LevelUsage(level, 100.0 * usage, perplexity) for level, (usage, perplexity) in levels]
