"""Token windows with the random numbers of their noise.

``models/discrete_diffusion.py`` turns such numbers into noisy codes without any randomness.
"""

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens, OfAlignedTokens
from soundstorm.data.datasets.dataset_parts import pad
from soundstorm.data.sampler import SeededIndex


class DiffusionTokens(OfAlignedTokens):
    """Token windows with prompt, place in the distribution of times and noise, drawn from the item's seed."""

    def __init__(self, tokens: AlignedTokens, unprompted: float):
        super().__init__(tokens)
        self.unprompted = unprompted

    def __getitem__(self, item: SeededIndex) -> dict:
        rng = np.random.default_rng(item.seed)
        semantic, codes = self.tokens.window(item, rng)
        prompt_end = int(rng.integers(len(codes)))
        if rng.random() < self.unprompted:
            prompt_end = 0
        time, noise = rng.random(), rng.random(codes.shape, dtype=np.float32)
        return {"semantic": semantic, "codes": codes, "prompt_end": prompt_end, "time": time, "noise": noise}

    def collate(self, items: list[dict]) -> dict[str, Tensor]:
        """A batch of :class:`AlignedTokens` with ``prompt_end (B,)``, ``time (B,)`` and ``noise (B, T, Q)``.

        Time and noise are numbers in [0, 1).
        """
        return self.tokens.collate(items) | {
            "prompt_end": torch.tensor([item["prompt_end"] for item in items]),
            "time": torch.tensor([item["time"] for item in items], dtype=torch.float64),
            "noise": pad(item["noise"] for item in items),
        }
