"""Training of the synthesized-speech detector."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from soundstorm.training.step import Loss, OneNetwork


class DetectorStep(OneNetwork):
    """One step of binary cross-entropy of a :class:`Detector`."""

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Loss of the batch, to be divided by the number of crops."""
        logits, labels = networks["model"](batch["spectra"]).float(), batch["labels"]
        total = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        right = ((logits > 0) == (labels > 0.5)).sum()
        return Loss(total=total, weight=len(labels), metrics={"accuracy": (right, len(labels))})
