"""SoundStorm's loss: cross-entropy of the masked tokens of the current level (section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.datasets.dataset_configs import MaskingConfig, level_weights
from soundstorm.models.masking import at_level, coarse_to_fine_mask, grid_mask, with_noise
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.training.step import Loss, OneNetwork

PAPER = MaskingConfig()


class SoundStormStep(OneNetwork):
    """Trains a :class:`SoundStorm` on batches of :class:`MaskedTokens`."""

    def __init__(self, model: SoundStorm, masking: MaskingConfig = PAPER):
        super().__init__(model)
        self.num_levels, self.groups = model.num_levels, model.groups
        of_stages = level_weights(masking.grid_weights, model.num_stages)
        self.grid_weights = [weight for weight in of_stages for _ in range(model.groups)]

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over masked tokens, so that the trainer can divide by their number on all processes.

        A token masked over the grid counts 1/Q in the mean of the levels: an example then weighs about as
        much as one of the paper's.
        """
        hidden, target, weights = self.masks(batch)
        codes, lengths = batch["codes"], batch["lengths"] if batch.get("padded", True) else None
        if "noise" in batch:
            codes = with_noise(codes, batch["noise"], hidden, target, batch["prompt_end"], self.groups)
        predictions = networks["model"](batch["semantic"], codes, hidden, target, lengths)
        total, count, weight, metrics = 0.0, 0, 0.0, {}
        for level, logits, tokens, example in predictions:
            logits = logits.float()
            losses = F.cross_entropy(logits, tokens, reduction="sum" if weights is None else "none")
            total = total + (losses if weights is None else (losses * weights[example, level]).sum())
            weight = weight + (len(tokens) if weights is None else weights[example, level].sum())
            count = count + len(tokens)
            if len(tokens):
                right = (logits.detach().argmax(-1) == tokens).sum()
                top10 = (
                    logits.detach().topk(min(10, logits.shape[-1]), dim=-1).indices == tokens[:, None]
                ).sum()
                metrics[f"loss/level{level}"] = (losses.detach().sum(), len(tokens))
                metrics[f"accuracy/level{level}"] = (right, len(tokens))
                metrics[f"top10/level{level}"] = (top10, len(tokens))
        metrics["accuracy"] = (sum(s for n, (s, _) in metrics.items() if n.startswith("accuracy/")), count)
        return Loss(total, weight, metrics)

    def masks(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """What is hidden and what is predicted, bool ``(B, T, Q)``; weight of a token ``(B, Q)``, None: 1."""
        hidden, target = coarse_to_fine_mask(
            batch["prompt_end"], batch["level"], batch["dropped"], batch["lengths"], self.num_levels
        )
        target = at_level(target, batch["level"], self.num_levels)
        if "cells" not in batch:
            return hidden, target, None
        is_grid = batch["is_grid"]
        grid = grid_mask(batch["prompt_end"], batch["cells"], batch["lengths"])
        hidden = torch.where(is_grid[:, None, None], grid, hidden)
        target = torch.where(is_grid[:, None, None], grid, target)
        shares = torch.tensor(self.grid_weights, device=is_grid.device) / self.num_levels
        return hidden, target, torch.where(is_grid[:, None], shares, 1.0)
