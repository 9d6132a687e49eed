"""Crops of tokens as AudioLM's stages read them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.archive import TokenArchive
from soundstorm.data.audiolm_layout import (
    NONE,
    Layout,
    Row,
    fine_condition,
    untimed_condition,
)
from soundstorm.data.audiolm_stages import ACOUSTIC, COARSE
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens, OfAlignedTokens
from soundstorm.data.datasets.dataset_configs import WindowConfig
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex


def collate_rows(rows: list[Row]) -> dict[str, Tensor]:
    """Fields of :class:`Row` padded on the right, ``(B, L)`` each; nothing is seen or due there."""
    longest = max(len(row.ids) for row in rows)

    def pad(name: str, value: int) -> Tensor:
        arrays = [getattr(row, name) for row in rows]
        return torch.from_numpy(
            np.stack([np.pad(a, (0, longest - len(a)), constant_values=value) for a in arrays])
        )

    padding = {"ids": 0, "times": 0, "due": 0, "condition": False, "levels": NONE, "classes": NONE}
    return {name: pad(name, value) for name, value in padding.items()}


class AcousticRows(OfAlignedTokens):
    """The coarse, fine or acoustic stage's examples: crops of aligned semantic and acoustic tokens."""

    collate = staticmethod(collate_rows)

    def __init__(
        self,
        tokens: AlignedTokens,
        stage: str,
        layout: Layout,
        coarse_levels: int,
        *,
        deduplicate: bool = False,
    ):
        """
        Args:
            tokens: where windows come from.
            stage: coarse, fine or acoustic.
            layout: of that stage.
            coarse_levels: Q'.
            deduplicate: leave repeats of semantic tokens out of the coarse stage's conditioning.
        """
        if deduplicate and tokens.ratio.tokens > tokens.ratio.frames:
            raise InputError(
                f"data.deduplicate is true, but the codec has {tokens.acoustic_info.frame_rate:g} frames/s for "
                f"{tokens.semantic_info.frame_rate:g} semantic tokens/s: some of those that the semantic stage "
                "writes would be heard nowhere; set it to false, or take a codec of a higher rate"
            )
        super().__init__(tokens)
        self.deduplicate = deduplicate
        self.stage, self.layout, self.coarse_levels = stage, layout, coarse_levels

    def __getitem__(self, item: SeededIndex) -> Row:
        chosen = self.tokens.bounds(item, np.random.default_rng(item.seed))
        semantic, codes = (stream[chosen] for stream in self.tokens.streams(item.index))
        coarse = codes[:, : self.coarse_levels]
        if self.stage == ACOUSTIC:
            nothing = np.zeros(0, np.int64)
            return self.layout.row(nothing, nothing, coarse)
        if self.stage != COARSE:
            condition = fine_condition(coarse, self.tokens.acoustic_info.codebook_size)
            return self.layout.row(*condition, codes[:, self.coarse_levels :])
        starts = self.tokens.ratio.starts(chosen.start, chosen.stop) - chosen.start
        semantic = semantic[starts]
        condition = untimed_condition(semantic) if self.deduplicate else (semantic, starts)
        return self.layout.row(*condition, coarse, complete=chosen.stop == self.tokens.frames[item.index])


class SemanticRows:
    """The semantic stage's examples: crops without consecutive repeats, ended where the utterance ends.

    Where the layout has no end they have their repeats.
    """

    collate = staticmethod(collate_rows)

    def __init__(
        self, archive: TokenArchive, layout: Layout, window: WindowConfig, *, random_windows: bool = True
    ):
        """
        Args:
            archive: semantic tokens.
            layout: of the semantic stage.
            window: lengths of crops, counted before repeats are removed.
            random_windows: cut at random; otherwise the beginning.
        """
        archive.require_semantic()
        self.info, self.layout, self.random_windows = archive.info, layout, random_windows
        self.archive, rate = archive, archive.info.frame_rate
        self.longest = round(window.max_seconds * rate)
        self.shortest = max(1, round(window.min_seconds * rate))
        self.durations = np.minimum(archive.frames(), self.longest) / rate

    @classmethod
    def from_data_dir(
        cls, data_dir: str | Path, layout: Layout, window: WindowConfig, **options
    ) -> "SemanticRows":
        """Read ``semantic.scp`` of a data directory."""
        return cls(TokenArchive(Path(data_dir) / "semantic.scp"), layout, window, **options)

    def __len__(self) -> int:
        return len(self.archive)

    def name(self, index: int) -> str:
        """The utterance."""
        return self.archive.keys[index]

    def __getitem__(self, item: SeededIndex) -> Row:
        rng, tokens = np.random.default_rng(item.seed), self.archive.at(item.index)
        frames, start = min(len(tokens), self.longest), 0
        if self.random_windows:
            frames = int(rng.integers(min(frames, self.shortest), frames + 1))
            start = int(rng.integers(0, len(tokens) - frames + 1))
        crop = tokens[start : start + frames]
        if self.layout.ends:
            crop = deduplicate(crop)
        nothing = np.zeros(0, np.int64)
        return self.layout.row(nothing, nothing, crop[:, None], complete=start + frames == len(tokens))
