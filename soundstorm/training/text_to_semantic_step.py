"""Loss of the text-to-semantic model: next-token cross-entropy and an alignment loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.alignment import emission_loss
from soundstorm.models.text_to_semantic import TextToSemantic, TextToSemanticOutput
from soundstorm.models.text_to_semantic_config import TextLossConfig
from soundstorm.training.step import Loss, OneNetwork


class TextToSemanticStep(OneNetwork):
    """Teacher-forced training of one network."""

    def __init__(self, model: TextToSemantic, config: TextLossConfig):
        """
        Args:
            model: the network.
            config: weights of the losses.
        """
        if config.alignment_weight and model.pointer is None:
            raise InputError(
                f"loss.alignment_weight is {config.alignment_weight}, but there is nothing to align; set "
                "model.pointer, or the weight to 0"
            )
        if model.pointer is not None and not config.alignment_weight:
            raise InputError(
                "loss.alignment_weight is 0, expected more: a model with a pointer learns its path from it"
            )
        super().__init__(model)
        self.config = config
        self.end_id = model.end_id

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over frames and ends; ``batch`` as :meth:`TextSemanticDataset.collate` makes it."""
        config = self.config
        out: TextToSemanticOutput = networks[phase](
            batch["text"], batch["text_lengths"], batch["inputs"], batch["tokens"], batch["lengths"],
            prior=config.alignment_prior,
        )  # fmt: skip
        targets = self._targets(batch)
        logits, wanted = out.logits.flatten(0, 1).float(), targets.flatten()
        entropy = F.cross_entropy(
            logits, wanted, ignore_index=-100, reduction="sum",
            label_smoothing=config.label_smoothing if networks[phase].training else 0.0,
        )  # fmt: skip
        counted = targets >= 0
        weight = counted.sum()
        right = ((out.logits.argmax(-1) == targets) & counted).sum()
        metrics = {"cross_entropy": (entropy.detach(), weight), "accuracy": (right, weight)}
        total = entropy
        if config.alignment_weight:
            frames = batch["lengths"] + 1  # the end is a frame too
            losses = emission_loss(out.scores, frames, batch["text_lengths"], prior=config.alignment_prior)
            aligned = losses.sum()
            total = total + config.alignment_weight * aligned
            metrics["alignment"] = (aligned.detach(), weight)
        if out.moves is not None:
            moved = (out.path.diff(dim=1, prepend=out.path[:, :1]) > 0).float()
            decided = F.binary_cross_entropy_with_logits(out.moves.float(), moved, reduction="none")
            decided = (decided * counted).sum()
            total = total + config.move_weight * decided
            metrics["move"] = (decided.detach(), weight)
        return Loss(total, weight, metrics)

    def _targets(self, batch: dict[str, Tensor]) -> Tensor:
        """``(B, T + 1)``: the tokens, then the end, then -100."""
        tokens, lengths = batch["tokens"], batch["lengths"]
        targets = F.pad(tokens, (0, 1))
        places = torch.arange(targets.shape[1], device=tokens.device)
        targets = targets.masked_fill(places > lengths[:, None], -100)
        return targets.masked_fill(places == lengths[:, None], self.end_id)
