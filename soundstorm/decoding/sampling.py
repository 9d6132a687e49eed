"""Sampling of tokens, and their ranking by confidence (MaskGIT; SoundStorm, section 3.3)."""

import torch
from torch import Tensor


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise of uniform numbers in [0, 1)."""
    return -torch.log(-torch.log(uniform.clamp(1e-20, 1.0 - 1e-7)))


def choose(logits: Tensor, uniform: Tensor, *, temperature: float, top_k: int) -> Tensor:
    """One class per row by inverting the cumulative distribution, so that one number decides each draw.

    Args:
        logits: ``(B, classes)``.
        uniform: numbers in [0, 1) ``(B,)``.
        temperature: divides the logits; 0 takes the most likely class.
        top_k: classes to choose from; 0 for all.
    """
    if temperature == 0:
        return logits.argmax(-1)
    # The result must not depend on rounding: float64, and classes in a fixed order.
    logits = logits.double() / temperature
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    cumulative = logits.softmax(-1).cumsum(-1)
    chosen = torch.searchsorted(cumulative, uniform.double()[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return chosen.clamp(max=logits.shape[-1] - 1)


def keep_most_confident(confidence: Tensor, masked: Tensor, stay_masked: Tensor) -> Tensor:
    """Masked positions to commit in this pass.

    Args:
        confidence: ``(B, T)``.
        masked: bool ``(B, T)``; only masked positions are committed.
        stay_masked: int64 ``(B,)``, how many of them must stay masked.

    Returns:
        bool ``(B, T)``: the ``masked.sum() - stay_masked`` most confident masked positions of each example.
    """
    ranked = confidence.masked_fill(~masked, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(ranked)
    rank.scatter_(-1, ranked, torch.arange(ranked.shape[-1], device=ranked.device).expand_as(ranked))
    return masked & (rank < (masked.sum(-1) - stay_masked)[:, None])


def mean_log_probability(logits: Tensor, example: Tensor, batch: int) -> Tensor:
    """Log of the mean probability of each token over the positions of an example: ``(B, N)``.

    Args:
        logits: ``(M, N)``.
        example: int64 ``(M,)``, which example each row is of.
        batch: B.
    """
    probability = torch.softmax(logits.float(), dim=-1)
    total = probability.new_zeros(batch, logits.shape[-1]).index_add_(0, example, probability)
    count = total.new_zeros(batch).index_add_(0, example, total.new_ones(len(example))).clamp(min=1)
    return torch.log(total / count[:, None] + 1e-9)


def entropy(logits: Tensor) -> Tensor:
    """Entropies ``(...)`` in nats of the distributions of ``logits (..., N)``."""
    log_probability = torch.log_softmax(logits.float(), dim=-1)
    return -(log_probability.exp() * log_probability).sum(-1)


def count_within_bound(confidence: Tensor, entropies: Tensor, masked: Tensor, bound: float) -> Tensor:
    """How many of the most confident positions can be committed at once (EB-Sampler, arXiv 2505.24857).

    Independent sampling of positions costs at most the sum of their entropies without the largest one.

    Args:
        confidence, entropies: ``(B, T)``, the latter in nats.
        masked: bool ``(B, T)``.
        bound: on that sum.

    Returns:
        int64 ``(B,)``: the longest prefix in order of confidence that stays within the bound.
    """
    order = confidence.masked_fill(~masked, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    ranked = entropies.masked_fill(~masked, torch.inf).gather(-1, order)
    excess = ranked.cumsum(-1) - ranked.cummax(-1).values
    # inf - inf at unmasked positions is NaN, which no bound allows.
    return (excess <= bound).sum(-1)
