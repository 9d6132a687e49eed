"""Drawing tokens and ranking them by confidence (MaskGIT; SoundStorm, section 3.3)."""

import torch
from torch import Tensor


def gumbel(shape: tuple[int, ...], generators: list[torch.Generator], device) -> Tensor:
    """Standard Gumbel noise; row b comes from the generator of example b, so that company does not change it.

    Args:
        shape: ``(B, ...)``.
        generators: B generators on the CPU.
        device: where the result goes.
    """
    rows = [torch.rand(shape[1:], generator=g) for g in generators]
    uniform = torch.stack(rows).to(device)
    return -torch.log(-torch.log(uniform.clamp(1e-20, 1.0 - 1e-7)))


def sample_tokens(logits: Tensor, noise: Tensor, *, temperature: float, top_k: int = 0) -> tuple[Tensor, Tensor]:
    """Sample one token for each position by the Gumbel-max trick.

    Args:
        logits: ``(B, T, N)``.
        noise: standard Gumbel noise ``(B, T, N)``.
        temperature: 0 takes the best token.
        top_k: keep this many candidates; 0 keeps all.

    Returns:
        tokens ``(B, T)`` and their log-probabilities ``(B, T)`` under the untouched distribution.
    """
    log_probability = torch.log_softmax(logits.float(), dim=-1)
    scores = log_probability
    if 0 < top_k < logits.shape[-1]:
        worst = scores.topk(top_k, dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < worst, -torch.inf)
    if temperature > 0:
        scores = scores / temperature + noise
    tokens = scores.argmax(dim=-1)
    return tokens, log_probability.gather(-1, tokens[..., None])[..., 0]


def keep_most_confident(confidence: Tensor, masked: Tensor, stay_masked: Tensor) -> Tensor:
    """Which masked positions to commit now.

    Args:
        confidence: ``(B, T)``.
        masked: bool ``(B, T)``, positions in question; others are never chosen.
        stay_masked: int64 ``(B,)``, how many of them must stay masked.

    Returns:
        bool ``(B, T)``: the ``masked.sum() - stay_masked`` most confident masked positions of each example.
    """
    ranked = confidence.masked_fill(~masked, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(ranked)
    rank.scatter_(-1, ranked, torch.arange(ranked.shape[-1], device=ranked.device).expand_as(ranked))
    return masked & (rank < (masked.sum(-1) - stay_masked)[:, None])
