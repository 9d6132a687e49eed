"""Windows of aligned semantic and acoustic tokens. This is the one place where the two streams meet."""

import logging
from pathlib import Path
from typing import NoReturn

import numpy as np
from torch import Tensor

from soundstorm.data.archive import FRAME_TABLES, TokenArchive
from soundstorm.data.datasets.dataset_configs import WindowConfig
from soundstorm.data.datasets.dataset_parts import lengths, pad
from soundstorm.data.errors import InputError
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.table_index import MISSING

logger = logging.getLogger(__name__)

KEPT_BYTES = 1 << 30  # of tokens, in each loading process; 230 hours of 12 levels at 50 frames/s
# Largest difference of the two streams' lengths that is trimmed without complaint, in codec frames.
TOLERANCE_FRAMES = 2


def align(
    utt: str, semantic: np.ndarray, codes: np.ndarray, ratio: FrameRatio
) -> tuple[np.ndarray, np.ndarray]:
    """Bring semantic tokens to the codec's rate and trim both streams to the shorter.

    Args:
        utt: for messages.
        semantic: ``(T_s,)``.
        codes: ``(T, Q)``.
        ratio: of the two rates.
    """
    semantic = ratio.upsample(semantic)
    if abs(len(semantic) - len(codes)) > _tolerance(ratio):
        _refuse(utt, len(semantic), len(codes), _tolerance(ratio))
    frames = min(len(semantic), len(codes))
    return semantic[:frames], codes[:frames]


def _tolerance(ratio: FrameRatio) -> int:
    return TOLERANCE_FRAMES + -(-ratio.frames // ratio.tokens) - 1  # the codec may end within a token


def _refuse(utt: str, semantic: int, acoustic: int, allowed: int) -> NoReturn:
    raise InputError(
        f"{utt}: {semantic} semantic and {acoustic} acoustic frames differ by more than {allowed}; "
        "extract both from the same audio"
    )


class AlignedTokens:
    """Random windows of semantic and acoustic tokens of the same speech.

    Tokens are read when they are asked for, and kept if all are no more than ``KEPT_BYTES``; only an index of
    the utterances is in memory from the start (``tests/benchmarks/index_memory.py`` measures it).
    """

    def __init__(
        self,
        semantic: TokenArchive,
        acoustic: TokenArchive,
        config: WindowConfig,
        *,
        random_windows: bool = True,
    ):
        """
        Args:
            semantic: the semantic tokens.
            acoustic: the acoustic tokens of the same utterances.
            config: window lengths.
            random_windows: cut windows of random length and place; otherwise the first ``max_seconds``.
        """
        self.config, self.random_windows = config, random_windows
        self.semantic_info, self.acoustic_info = semantic.info, acoustic.info
        self.frame_rate = acoustic.info.frame_rate
        self.ratio = FrameRatio.of(semantic.info, acoustic.info)
        self._archives = semantic, acoustic
        rows = semantic.keys.rows(acoustic.keys.names)
        both = np.flatnonzero(rows != MISSING)
        self._rows = rows[both], both  # of each utterance, in the two archives
        lost = max(len(semantic), len(acoustic)) - len(both)
        if not len(both):
            raise InputError(f"{semantic.scp} and {acoustic.scp} have no utterance in common")
        if lost:
            logger.warning("%d of %d utterances lack semantic or acoustic tokens", lost, lost + len(both))
        self.frames = self._aligned_frames(semantic.frames()[rows[both]], acoustic.frames()[both])
        self.durations = np.minimum(self.frames / self.frame_rate, config.max_seconds)
        self._step = max(1, round(config.step_seconds * self.frame_rate))
        if not random_windows or config.min_seconds == config.max_seconds:
            self.drawn_seconds = None
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        # Of a larger set hardly anything would be asked for again while it is there.
        self._keeps = int(self.frames.sum()) * (1 + acoustic.info.num_levels) * 2 <= KEPT_BYTES

    @classmethod
    def from_data_dir(cls, data_dir: str | Path, config: WindowConfig, **options) -> "AlignedTokens":
        """Read ``semantic.scp`` and ``acoustic.scp`` of a data directory."""
        data_dir = Path(data_dir)
        return cls(
            TokenArchive(data_dir / "semantic.scp"),
            TokenArchive(data_dir / "acoustic.scp"),
            config,
            **options,
        )

    def _aligned_frames(self, semantic: np.ndarray, acoustic: np.ndarray) -> np.ndarray:
        """Codec frames of every utterance after :func:`align`, of which this is the check for all at once."""
        semantic, allowed = self.ratio.num_frames(semantic), _tolerance(self.ratio)
        wrong = np.flatnonzero(np.abs(semantic - acoustic) > allowed)
        if len(wrong):
            first = wrong[0]
            _refuse(self.name(first), int(semantic[first]), int(acoustic[first]), allowed)
        return np.minimum(semantic, acoustic)

    def __len__(self) -> int:
        return len(self._rows[0])

    def name(self, index: int) -> str:
        """The utterance."""
        return self._archives[1].keys[self._rows[1][index]]

    def streams(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Semantic tokens ``(T,)`` at the codec's rate and codes ``(T, Q)`` of a whole utterance."""
        if index in self._kept:
            return self._kept[index]
        semantic, codes = (archive.at(rows[index]) for archive, rows in zip(self._archives, self._rows))
        both = align(self.name(index), semantic, codes, self.ratio)
        if len(both[1]) != self.frames[index]:
            tables = " and ".join(str(a.scp.with_name(FRAME_TABLES[a.info.kind])) for a in self._archives)
            raise InputError(
                f"{self.name(index)} has {len(both[1])} frames of tokens, {self.frames[index]} according to "
                f"{tables}; remove these tables, or extract the tokens again"
            )
        if self._keeps:
            self._kept[index] = both
        return both

    def window(self, item: SeededIndex, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One window: semantic tokens ``(T,)`` and codes ``(T, Q)``, its place drawn from ``rng``."""
        semantic, codes = self.streams(item.index)
        chosen = self.bounds(item, rng)
        return semantic[chosen], codes[chosen]

    def drawn_seconds(self, shares: np.ndarray) -> np.ndarray:
        """Seconds of a random window of each utterance, for the share of each in the range of lengths."""
        return self._window_frames(self.frames, shares) / self.frame_rate

    def _window_frames(self, total: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        longest = np.minimum(total, round(self.config.max_seconds * self.frame_rate))
        shortest = np.minimum(longest, max(1, round(self.config.min_seconds * self.frame_rate)))
        frames = shortest + np.floor(share * (longest - shortest + 1)).astype(np.int64)
        return np.maximum(shortest, frames // self._step * self._step)

    def bounds(self, item: SeededIndex, rng: np.random.Generator) -> slice:
        """Which frames of an utterance are its window."""
        total = int(self.frames[item.index])
        frames, start = min(total, round(self.config.max_seconds * self.frame_rate)), 0
        if self.random_windows:
            frames = int(self._window_frames(total, rng.random() if item.share is None else item.share))
            # From the beginning of a semantic token, so that all its frames are seen.
            starts = self.ratio.starts(0, total - frames + 1)
            start = int(starts[rng.integers(len(starts))])
        return slice(start, start + frames)

    def __getitem__(self, item: SeededIndex) -> dict[str, np.ndarray]:
        semantic, codes = self.window(item, np.random.default_rng(item.seed))
        return {"semantic": semantic, "codes": codes}

    def collate(self, items: list[dict]) -> dict[str, Tensor]:
        """Padded batch: ``semantic (B, T)``, ``codes (B, T, Q)``, ``lengths (B,)``, all int64; is any ``padded``?"""
        return {
            "semantic": pad(item["semantic"].astype(np.int64) for item in items),
            "codes": pad(item["codes"].astype(np.int64) for item in items),
            "lengths": lengths(item["codes"] for item in items),
            "padded": len({len(item["codes"]) for item in items}) > 1,
        }


class OfAlignedTokens:
    """A dataset whose items are made of windows of aligned tokens."""

    def __init__(self, tokens: AlignedTokens):
        self.tokens = tokens
        self.durations, self.drawn_seconds = tokens.durations, tokens.drawn_seconds

    def __len__(self) -> int:
        return len(self.tokens)

    def name(self, index: int) -> str:
        """The utterance."""
        return self.tokens.name(index)
