"""CTC training of the scoring stage's own recogniser, on original recordings only."""

from __future__ import annotations

from torch import Tensor, nn

from soundstorm.data.characters import BLANK
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.training.ctc import ctc_loss
from soundstorm.training.step import Loss, OneNetwork


class RecognizerStep(OneNetwork):
    """One CTC step."""

    def __init__(self, model: CtcNetwork, vocabulary: dict[str, int]):
        super().__init__(model)
        self._blank = vocabulary[BLANK]

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Negative log likelihood, to be divided by the number of target characters."""
        logits = networks["model"](batch["frames"], batch["lengths"])
        return ctc_loss(logits, batch["lengths"], batch["targets"], batch["target_lengths"], blank=self._blank)
