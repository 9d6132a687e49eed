"""Training of the synthesized-speech detector."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from soundstorm.models.detector import Detector
from soundstorm.training.step import Loss


class DetectorStep:
    """One step of binary cross-entropy."""

    phases = ("model",)

    def __init__(self, model: Detector):
        self.networks: dict[str, nn.Module] = {"model": model}

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Loss of the batch, to be divided by the number of crops."""
        logits, labels = networks["model"](batch["spectra"]).float(), batch["labels"]
        total = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        right = ((logits > 0) == (labels > 0.5)).sum()
        return Loss(total=total, weight=len(labels), metrics={"accuracy": (right, len(labels))})
