"""Token windows with the random numbers of their masks (SoundStorm, section 3.2).

``models/masking.py`` turns such numbers into masks without any randomness.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.dataset_configs import MaskingConfig
from soundstorm.data.sampler import SeededIndex


class MaskNumbers(NamedTuple):
    """The random numbers behind one training example."""

    prompt_end: int  # frames before it are the prompt; 1 <= prompt_end < T, or 0 without a prompt
    level: int  # the RVQ level to predict, 0 the coarsest
    dropped: np.ndarray  # bool (T,): masked at ``level`` if after the prompt


def draw_mask_numbers(
    num_frames: int, num_levels: int, rng: np.random.Generator, *, unprompted: float = 0.0
) -> MaskNumbers:
    """Draw prompt delimiter, level and mask bits as the paper does.

    The delimiter t ~ U{0, T-1} is the index of the first target frame, so at least one target frame exists;
    the level q ~ U{1, Q}; the masking ratio p = cos(u) with u ~ U[0, pi/2]; the bits are Bernoulli(p). A draw
    that would mask
    nothing gets one masked frame, chosen uniformly: it would have no loss otherwise.

    Args:
        num_frames: T of this example, without padding.
        num_levels: Q.
        rng: the example's own generator.
        unprompted: probability of t = 0, an option of ours; the paper has 1/T.
    """
    prompt_end = int(rng.integers(num_frames))
    if rng.random() < unprompted:
        prompt_end = 0
    level = int(rng.integers(num_levels))
    ratio = math.cos(rng.uniform(0.0, math.pi / 2))
    dropped = rng.random(num_frames) < ratio
    forced = int(rng.integers(prompt_end, num_frames))
    if not dropped[prompt_end:].any():
        dropped[forced] = True
    return MaskNumbers(prompt_end, level, dropped)


class MaskedTokens:
    """Token windows with the numbers behind their masks, all drawn from the item's own seed."""

    def __init__(self, tokens: AlignedTokens, config: MaskingConfig):
        self.tokens, self.config = tokens, config
        self.durations = tokens.durations

    def __len__(self) -> int:
        return len(self.tokens)

    def name(self, index: int) -> str:
        """The utterance."""
        return self.tokens.name(index)

    def __getitem__(self, item: SeededIndex) -> dict:
        rng = np.random.default_rng(item.seed)
        semantic, codes = self.tokens.window(item.index, rng)
        mask = draw_mask_numbers(*codes.shape, rng, unprompted=self.config.unprompted)
        return {"semantic": semantic, "codes": codes, "mask": mask}

    def collate(self, items: list[dict]) -> dict[str, Tensor]:
        """A batch of :class:`AlignedTokens` with ``prompt_end (B,)``, ``level (B,)``, ``dropped (B, T)``."""
        masks = [item["mask"] for item in items]
        return self.tokens.collate(items) | {
            "prompt_end": torch.tensor([mask.prompt_end for mask in masks]),
            "level": torch.tensor([mask.level for mask in masks]),
            "dropped": pad_sequence([torch.from_numpy(mask.dropped) for mask in masks], batch_first=True),
        }
