"""Loss of Tacotron 2's feature network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.attention_figures import attention_figures
from soundstorm.models.feature_network import FeatureNetwork, Predicted
from soundstorm.models.tacotron2_config import Tacotron2LossConfig
from soundstorm.training.step import Loss, OneNetwork


class Tacotron2Step(OneNetwork):
    """Teacher forcing: errors of the frames before and after the post-net, and of the stop token."""

    def __init__(self, model: FeatureNetwork, config: Tacotron2LossConfig):
        """
        Args:
            model: the network.
            config: weights of the losses.
        """
        super().__init__(model)
        self.config, self.model = config, model

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over frames; ``batch`` as :meth:`SpokenTexts.collate` makes it."""
        config, lengths = self.config, batch["lengths"]
        frames = self.model.normalize(batch["features"])
        out: Predicted = networks[phase](
            batch["text"], batch["text_lengths"], frames, lengths, batch.get("speakers")
        )
        weight = lengths.sum()
        there = _before(lengths, frames.shape[1])
        errors = [(((part - frames) ** 2).mean(-1) * there).sum() for part in (out.before, out.after)]
        stop = self._stop_loss(out.stops.float(), lengths)
        metrics = {
            "error_before": (errors[0].detach(), weight),
            "error_after": (errors[1].detach(), weight),
            "stop": (stop.detach(), weight),
        }
        total = errors[0] + errors[1] + stop
        if config.guided_attention:
            guided = self._guided_loss(out.attention, batch["text_lengths"], lengths)
            metrics["guided"] = (guided.detach(), weight)
            total = total + config.guided_attention * guided
        if not networks[phase].training:
            metrics |= self._figures(out, batch["text_lengths"], lengths)
        return Loss(total, weight, metrics)

    def _stop_loss(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """Cross-entropy, a step counting as its frames do."""
        steps = lengths // self.model.config.reduction
        last = (torch.arange(logits.shape[1], device=logits.device) == steps[:, None] - 1).float()
        weights = torch.full_like(last[0, :1], self.config.stop_weight)
        each = F.binary_cross_entropy_with_logits(logits, last, pos_weight=weights, reduction="none")
        return (each * _before(steps, logits.shape[1])).sum() * self.model.config.reduction

    def _guided_loss(self, attention: Tensor, text_lengths: Tensor, lengths: Tensor) -> Tensor:
        """Attention times how far it is from the diagonal (arXiv:1710.08969), by frames."""
        steps = lengths // self.model.config.reduction
        step = torch.arange(attention.shape[1], device=attention.device) / steps[:, None]
        character = torch.arange(attention.shape[2], device=attention.device) / text_lengths[:, None]
        far = (character[:, None] - step[..., None]) ** 2 / (2 * self.config.guided_width**2)
        each = (attention * (1 - torch.exp(-far))).sum(-1) * _before(steps, attention.shape[1])
        return each.sum() * self.model.config.reduction

    def _figures(self, out: Predicted, text_lengths: Tensor, lengths: Tensor) -> dict:
        """Sums over utterances of what alignments are worth, and of stops that came early or not at all."""
        sums: dict[str, float] = {}
        for stops, attention, text, length in zip(
            out.stops, out.attention, text_lengths, lengths, strict=True
        ):
            steps = int(length) // self.model.config.reduction
            found = attention_figures(attention[:steps, : int(text)])
            stopping = (stops[:steps] > 0).nonzero()[:, 0]
            found["stop_errors"] = float(not (len(stopping) and int(stopping[0]) == steps - 1))
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: (value, len(lengths)) for name, value in sums.items()}


def _before(lengths: Tensor, longest: int) -> Tensor:
    """``(B, longest)``, 1 where there is something."""
    return (torch.arange(longest, device=lengths.device) < lengths[:, None]).float()
