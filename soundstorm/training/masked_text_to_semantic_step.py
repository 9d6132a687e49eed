"""Loss of parallel text to semantic tokens: masked tokens, the alignment of letters, and their durations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.alignment import emission_loss
from soundstorm.models.masked_text_to_semantic import MaskedTextToSemantic, MaskedTextToSemanticOutput
from soundstorm.models.masking import coarse_to_fine_mask
from soundstorm.models.text_to_semantic_config import MaskedTextLossConfig
from soundstorm.training.step import Loss, OneNetwork


class MaskedTextToSemanticStep(OneNetwork):
    """Trains a :class:`MaskedTextToSemantic` on batches of :class:`MaskedTextDataset`.

    The three losses have no parameter in common (the path and the states that durations are predicted from are
    cut off), so that their weights mean nothing.
    """

    def __init__(self, model: MaskedTextToSemantic, config: MaskedTextLossConfig):
        super().__init__(model)
        self.config = config

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over masked tokens, frames and letters; divided by frames, which are as many in each step."""
        lengths, prior = batch["lengths"], self.config.alignment_prior
        level = torch.zeros_like(batch["prompt_end"])
        hidden, target = coarse_to_fine_mask(batch["prompt_end"], level, batch["dropped"], lengths, 1)
        out: MaskedTextToSemanticOutput = networks[phase](
            batch["text"], batch["text_lengths"], batch["tokens"], lengths, hidden, target[..., None], prior=prior
        )
        entropy = F.cross_entropy(out.logits.float(), out.right, reduction="sum")
        aligned = emission_loss(out.scores, lengths, batch["text_lengths"], prior=prior).sum()
        spoken = out.durations > 0
        logits = out.duration_logits.float()
        longest = logits.shape[-1]
        wanted = (out.durations.clamp(1, longest) - 1).masked_fill(~spoken, -100)
        lasting = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum")
        mean = (logits.softmax(-1) * torch.arange(1, longest + 1, device=logits.device)).sum(-1)
        error = ((mean - out.durations).abs() * spoken).sum().detach()
        frames, masked, letters = lengths.sum(), len(out.right), spoken.sum()
        correct = (out.logits.argmax(-1) == out.right).sum()
        metrics = {
            "cross_entropy": (entropy.detach(), masked), "accuracy": (correct, masked),
            "alignment": (aligned.detach(), frames), "duration": (lasting.detach(), letters),
            "duration_error": (error, letters),
        }  # fmt: skip
        return Loss(entropy + aligned + lasting, frames, metrics)
