"""Transcripts and semantic tokens with the random numbers of their masks: examples of parallel text to semantic."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.datasets.dataset_configs import MaskedTextDataConfig, MaskingConfig
from soundstorm.data.datasets.dataset_parts import pad
from soundstorm.data.datasets.masked_tokens_dataset import draw_mask_numbers
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import TextTokenizer


class MaskedTextDataset(TextSemanticDataset):
    """Whole utterances: the tokens are the one level of SoundStorm's masks (section 3.2)."""

    def __init__(self, data_dir: str | Path, tokenizer: TextTokenizer, config: MaskedTextDataConfig):
        """
        Args:
            data_dir: with ``text``, ``semantic.scp``, and ``utt2spk`` where utterances are joined.
            tokenizer: of the text.
            config: what an example is.
        """
        super().__init__(
            data_dir, tokenizer, min_seconds=config.min_seconds, max_seconds=config.max_seconds,
            join_probability=config.join_probability,
        )  # fmt: skip
        self._masking, self._whole = MaskingConfig(unprompted=config.unprompted), config.whole

    def __getitem__(self, item: SeededIndex) -> dict:
        """``text`` ids ``(L,)``, ``tokens`` ``(T,)``, and the numbers behind their ``mask``."""
        example = super().__getitem__(item)
        rng = np.random.default_rng((*item.seed, 1))  # not that of the example, whose numbers it would repeat
        mask = draw_mask_numbers(len(example["tokens"]), 1, rng, config=self._masking)
        if rng.random() < self._whole:
            mask = mask._replace(dropped=np.ones_like(mask.dropped))
        return example | {"mask": mask}

    def collate(self, items: list[dict]) -> dict[str, Tensor]:
        """Pad as :func:`collate_examples`, with ``prompt_end (B,)`` and ``dropped (B, T)``."""
        batch = super().collate(items)
        masks = [item["mask"] for item in items]
        batch["prompt_end"] = torch.tensor([mask.prompt_end for mask in masks])
        return batch | {"dropped": pad(mask.dropped for mask in masks)}
