"""AudioLM's loss: cross-entropy of the next token, within the level that is due."""

import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.audiolm import AudioLM, Columns
from soundstorm.training.step import Loss, OneNetwork


class AudioLMStep(OneNetwork):
    """Teacher-forced training of one stage; the conditioning has no loss."""

    def __init__(self, model: AudioLM, *, first_level: int = 0):
        """
        Args:
            model: the network.
            first_level: the codec's level that is the first to be predicted, for the names of the metrics.
        """
        super().__init__(model)
        self.first_level = first_level

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over predicted tokens; ``batch`` as ``collate_rows`` of ``audiolm_dataset.py`` makes it."""
        columns = Columns(batch["ids"], batch["times"], batch["due"], batch["condition"])
        total, count, metrics = 0.0, 0, {}
        for level, logits in enumerate(networks[phase](columns, batch["levels"])):
            logits, wanted = logits.float(), batch["classes"][batch["levels"] == level]
            summed = F.cross_entropy(logits, wanted, reduction="sum")
            total, count = total + summed, count + len(wanted)
            right = (logits.detach().argmax(-1) == wanted).sum()
            name = f"level{level + self.first_level}"
            metrics[f"loss/{name}"] = (summed.detach(), len(wanted))
            metrics[f"accuracy/{name}"] = (right, len(wanted))
        metrics["accuracy"] = (sum(s for n, (s, _) in metrics.items() if n.startswith("accuracy/")), count)
        return Loss(total, count, metrics)
