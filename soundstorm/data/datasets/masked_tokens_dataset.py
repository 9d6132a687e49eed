"""Token windows with the random numbers of their masks (SoundStorm, section 3.2).

``models/masking.py`` turns such numbers into masks without any randomness.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.codebook import levels_of_stage
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens, OfAlignedTokens
from soundstorm.data.datasets.dataset_configs import MaskingConfig, level_weights
from soundstorm.data.datasets.dataset_parts import pad
from soundstorm.data.sampler import SeededIndex

PAPER = MaskingConfig()


class MaskNumbers(NamedTuple):
    """The random numbers behind one training example."""

    prompt_end: int  # frames before it are the prompt; 1 <= prompt_end < T, or 0 without a prompt
    level: int  # the RVQ level to predict, 0 the coarsest; with groups the stage
    dropped: np.ndarray  # bool (T,), with groups (T, G): masked at ``level`` if after the prompt
    cells: np.ndarray | None = None  # bool (T, Q): masked over the whole grid instead; `level` is then idle
    noise: np.ndarray | None = None  # int64 (T, Q): codes in place of coarser tokens, -1 where these stay


def draw_mask_numbers(
    num_frames: int,
    num_levels: int,
    rng: np.random.Generator,
    *,
    config: MaskingConfig = PAPER,
    codebook_size: int = 1,
    groups: int = 1,
) -> MaskNumbers:
    """Draw prompt delimiter, level and mask bits as the paper does, or as ``config`` says.

    The delimiter t ~ U{0, T-1} is the index of the first target frame, so at least one target frame exists;
    the level q ~ U{1, Q}; the masking ratio p = cos(u) with u ~ U[0, pi/2]; the bits are Bernoulli(p). A draw
    that would mask nothing gets one masked frame, chosen uniformly: it would have no loss otherwise.

    Args:
        num_frames: T of this example, without padding.
        num_levels: Q.
        rng: the example's own generator.
        config: what is not as in the paper. Its numbers are drawn last: the paper's do not depend on it.
        codebook_size: N, of which the noise is drawn.
        groups: G, levels of a stage of the codec's: masked together, each token by its own bit.
    """
    prompt_end = int(rng.integers(num_frames))
    if rng.random() < config.unprompted:
        prompt_end = 0
    level = int(rng.integers(num_levels // groups))
    ratio = math.cos(rng.uniform(0.0, math.pi / 2))
    dropped = rng.random(num_frames if groups == 1 else (num_frames, groups)) < ratio
    forced = int(rng.integers(prompt_end, num_frames))
    if not dropped[prompt_end:].any():
        dropped[forced] = True
    cells = None
    if config.grid and rng.random() < config.grid:
        cells = rng.random((num_frames, num_levels)) < rng.random()
        if not cells[prompt_end:].any():
            cells[forced, levels_of_stage(level, groups)[0]] = True
    if config.levels != "uniform":
        chances = np.array(level_weights(config.levels, num_levels // groups)) * groups / num_levels
        level = int(rng.choice(num_levels // groups, p=chances))
    noise = None
    if config.noise:
        replaced = rng.random((num_frames, num_levels)) < config.noise
        noise = np.where(replaced, rng.integers(codebook_size, size=replaced.shape), -1)
    return MaskNumbers(prompt_end, level, dropped, cells, noise)


class MaskedTokens(OfAlignedTokens):
    """Token windows with the numbers behind their masks, all drawn from the item's own seed."""

    def __init__(self, tokens: AlignedTokens, config: MaskingConfig):
        super().__init__(tokens)
        self.config = config

    def __getitem__(self, item: SeededIndex) -> dict:
        rng = np.random.default_rng(item.seed)
        semantic, codes = self.tokens.window(item, rng)
        info = self.tokens.acoustic_info
        sizes = {"codebook_size": info.codebook_size, "groups": info.groups}
        mask = draw_mask_numbers(*codes.shape, rng, config=self.config, **sizes)
        return {"semantic": semantic, "codes": codes, "mask": mask}

    def collate(self, items: list[dict]) -> dict[str, Tensor]:
        """A batch of :class:`AlignedTokens` with ``prompt_end (B,)``, ``level (B,)``, ``dropped (B, T)``.

        With groups ``dropped (B, T, G)``. With masks over the grid also ``cells (B, T, Q)`` and which
        examples have them, ``is_grid (B,)``; with noise ``noise (B, T, Q)``.
        """
        batch = self.tokens.collate(items)
        masks = [item["mask"] for item in items]
        batch |= {
            "prompt_end": torch.tensor([mask.prompt_end for mask in masks]),
            "level": torch.tensor([mask.level for mask in masks]),
            "dropped": pad(mask.dropped for mask in masks),
        }
        if self.config.grid:
            batch["is_grid"] = torch.tensor([mask.cells is not None for mask in masks])
            batch["cells"] = torch.zeros(batch["codes"].shape, dtype=torch.bool)
            for row, mask in enumerate(masks):
                if mask.cells is not None:
                    batch["cells"][row, : len(mask.cells)] = torch.from_numpy(mask.cells)
        if self.config.noise:
            batch["noise"] = pad((mask.noise for mask in masks), -1)
        return batch
