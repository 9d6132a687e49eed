"""SoundStorm's loss: cross-entropy of the masked tokens of the current level (section 3.2)."""

import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.masking import coarse_to_fine_mask
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.training.step import Loss


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
                top10 = (
                    logits.detach().topk(min(10, logits.shape[-1]), dim=-1).indices == tokens[:, None]
                ).sum()
                metrics[f"loss/level{level}"] = (summed.detach(), len(tokens))
                metrics[f"accuracy/level{level}"] = (right, len(tokens))
                metrics[f"top10/level{level}"] = (top10, len(tokens))
        metrics["accuracy"] = (sum(s for n, (s, _) in metrics.items() if n.startswith("accuracy/")), count)
        return Loss(total, count, metrics)
