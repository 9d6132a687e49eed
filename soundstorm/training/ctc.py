"""The loss of connectionist temporal classification (CTC), for all that is trained by it."""

from torch import Tensor
from torch.nn import functional as F

from soundstorm.training.step import Loss


def ctc_loss(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int) -> Loss:
    """Negative log likelihood by logits ``(B, T, V)`` of targets, ``(B, L)`` or ``(sum,)``; divided by their number."""
    log_p = logits.float().log_softmax(-1).transpose(0, 1)  # (T, B, V)
    total = F.ctc_loss(log_p, targets, lengths, target_lengths, blank=blank, reduction="sum", zero_infinity=True)
    weight = target_lengths.sum()
    return Loss(total, weight, {"ctc": (total.detach(), weight)})
