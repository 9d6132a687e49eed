"""Loss of the text-to-semantic model: next-token cross-entropy, and a loss that teaches where in the text to look."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.text_to_semantic import TextToSemantic, TextToSemanticOutput
from soundstorm.models.text_to_semantic_config import TextLossConfig
from soundstorm.training.trainer import Loss

BLANK_SCORE = -1.0  # of "no letter in particular", against attention scores that start near zero


class TextToSemanticStep:
    """Teacher-forced training of one network."""

    phases = ("model",)

    def __init__(self, model: TextToSemantic, config: TextLossConfig, *, aligned_layers: tuple[int, ...] = ()):
        """
        Args:
            model: the network.
            config: weights of the losses.
            aligned_layers: decoder blocks whose first cross-attention head the alignment loss trains.
        """
        if config.alignment_weight and not aligned_layers:
            raise ValueError(
                f"loss.alignment_weight is {config.alignment_weight}, but model.aligned_layers is empty; name the "
                "decoder blocks to align, or set the weight to 0"
            )
        self.networks: dict[str, nn.Module] = {"model": model}
        self.config = config
        self.aligned_layers = aligned_layers
        self.end_id = model.end_id

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over frames and ends; ``batch`` as :meth:`TextSemanticDataset.collate` makes it."""
        config = self.config
        out: TextToSemanticOutput = networks[phase](batch["text"], batch["text_lengths"], batch["inputs"])
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
            scores = out.scores[:, list(self.aligned_layers)]
            aligned = alignment_loss(scores, batch["lengths"] + 1, batch["text_lengths"], prior=config.alignment_prior)
            aligned = aligned.sum() / len(self.aligned_layers)
            total = total + config.alignment_weight * aligned
            metrics["alignment"] = (aligned.detach(), weight)
        return Loss(total, weight, metrics)

    def _targets(self, batch: dict[str, Tensor]) -> Tensor:
        """``(B, T + 1)``: the tokens, then the end, then -100."""
        tokens, lengths = batch["tokens"], batch["lengths"]
        targets = F.pad(tokens, (0, 1))
        places = torch.arange(targets.shape[1], device=tokens.device)
        targets = targets.masked_fill(places > lengths[:, None], -100)
        return targets.masked_fill(places == lengths[:, None], self.end_id)


def alignment_loss(scores: Tensor, lengths: Tensor, text_lengths: Tensor, *, prior: float) -> Tensor:
    """How unlikely attention makes it to pass through the text in order, leaving no letter out.

    The likelihood of all monotonic paths, by the forward algorithm of CTC with the letters' places as the labels; as
    in "One TTS alignment to rule them all" (Badlani et al., 2021), and on the cross-attention of an encoder-decoder as
    in Neekhara et al. (2024).

    Args:
        scores: attention scores before the softmax ``(B, heads, T, L)``, minus infinity at padding.
        lengths: frames ``(B,)``; text_lengths: letters ``(B,)``.
        prior: standard deviation, in shares of the text, of a Gaussian around the diagonal that favours paths at an
            even pace; 0 for none.

    Returns:
        ``(B, heads)``: minus the log likelihood; 0 where there are fewer frames than letters.
    """
    batch, heads, frames, letters = scores.shape
    scores = scores.float()
    if prior:
        along = torch.arange(frames, device=scores.device) / lengths[:, None]
        place = torch.arange(letters, device=scores.device) / text_lengths[:, None]
        scores = scores - ((along[:, :, None] - place[:, None]) ** 2 / (2 * prior**2))[:, None]
    # A finite floor at padding: CTC's gradient of minus infinity is not a number.
    scores = F.pad(scores.clamp(min=-1e4), (1, 0), value=BLANK_SCORE)
    log_probs = scores.log_softmax(-1).flatten(0, 1).transpose(0, 1)
    labels = torch.arange(1, letters + 1, device=scores.device).expand(batch * heads, -1)
    per_head = F.ctc_loss(
        log_probs, labels, lengths.repeat_interleave(heads), text_lengths.repeat_interleave(heads),
        blank=0, reduction="none", zero_infinity=True,
    )  # fmt: skip
    return per_head.view(batch, heads)
