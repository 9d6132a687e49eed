"""SoundStorm's loss: cross-entropy of the masked tokens of the current level (section 3.2)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.dataset_configs import MaskingConfig
from soundstorm.data.sampler import SeededIndex
from soundstorm.models.masking import coarse_to_fine_mask, draw_mask
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.training.trainer import Loss


class MaskedTokens:
    """Token windows with the numbers behind their masks, all drawn from the item's own seed."""

    def __init__(self, tokens: AlignedTokens, config: MaskingConfig):
        self.tokens, self.config = tokens, config
        self.durations = tokens.durations

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, item: SeededIndex) -> dict:
        rng = np.random.default_rng(item.seed)
        semantic, codes = self.tokens.window(item.index, rng)
        mask = draw_mask(*codes.shape, rng, unprompted=self.config.unprompted)
        return {"semantic": semantic, "codes": codes, "mask": mask}

    def collate(self, items: list[dict]) -> dict[str, Tensor]:
        """A batch of :class:`AlignedTokens` with ``prompt_end (B,)``, ``level (B,)``, ``dropped (B, T)``."""
        masks = [item["mask"] for item in items]
        return self.tokens.collate(items) | {
            "prompt_end": torch.tensor([mask.prompt_end for mask in masks]),
            "level": torch.tensor([mask.level for mask in masks]),
            "dropped": pad_sequence([torch.from_numpy(mask.dropped) for mask in masks], batch_first=True),
        }


class SoundStormStep:
    """Trains a :class:`SoundStorm` on batches of :class:`MaskedTokens`."""

    phases = ("model",)

    def __init__(self, model: SoundStorm):
        self.num_levels = model.num_levels
        self.networks: dict[str, nn.Module] = {"model": model}

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over masked tokens, so that the trainer can divide by their number on all processes."""
        hidden, target = coarse_to_fine_mask(
            batch["prompt_end"], batch["level"], batch["dropped"], batch["lengths"], self.num_levels
        )
        predictions = networks["model"](
            batch["semantic"], batch["codes"], hidden, batch["level"], target, batch["lengths"]
        )
        total, count, metrics = 0.0, 0, {}
        for level, logits, tokens in predictions:
            logits = logits.float()
            summed = F.cross_entropy(logits, tokens, reduction="sum")
            total, count = total + summed, count + len(tokens)
            if len(tokens):
                right = (logits.detach().argmax(-1) == tokens).sum()
                top10 = (logits.detach().topk(min(10, logits.shape[-1]), dim=-1).indices == tokens[:, None]).sum()
                metrics[f"loss/level{level}"] = (summed.detach(), len(tokens))
                metrics[f"accuracy/level{level}"] = (right, len(tokens))
                metrics[f"top10/level{level}"] = (top10, len(tokens))
        metrics["accuracy"] = (sum(s for n, (s, _) in metrics.items() if n.startswith("accuracy/")), count)
        return Loss(total, count, metrics)
