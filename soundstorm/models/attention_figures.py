"""What an alignment of characters with steps of a decoder is worth, in numbers."""

import torch
from torch import Tensor

DIAGONAL = 0.1  # of the text, to either side, that counts as on the diagonal
COVERED = 0.5  # attention that a character got, over all steps, to count as read


def attention_figures(attention: Tensor) -> dict[str, float]:
    """Figures of one alignment ``(steps, characters)`` without padding, whose rows sum to 1.

    Returns:
        ``focus_rate``: mean over steps of the largest weight. ``coverage``: share of characters that got more
        than :data:`COVERED` in all. ``diagonal``: mass within :data:`DIAGONAL` of the diagonal.
        ``jumps_back``: share of steps whose largest weight is before that of the step before.
    """
    largest, where = attention.max(dim=1)
    back = where.diff() < 0
    return {
        "focus_rate": float(largest.mean()),
        "coverage": float((attention.sum(0) > COVERED).float().mean()),
        "diagonal": float((attention * (off_diagonal(attention) <= DIAGONAL)).sum(1).mean()),
        "jumps_back": float(back.float().mean()) if len(back) else 0.0,
    }


def off_diagonal(attention: Tensor) -> Tensor:
    """How far each place of ``(steps, characters)`` is from the diagonal, as a share of the text."""
    steps, characters = attention.shape
    step = (torch.arange(steps, device=attention.device) + 0.5) / steps
    return ((torch.arange(characters, device=attention.device) + 0.5) / characters - step[:, None]).abs()
