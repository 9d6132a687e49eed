"""Attention in the way that is fast on the machine at hand."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

QUERIES = 256  # at a time: their scores stay in a core's cache
LONGEST = 700  # columns that are trained on: beyond, scores that are kept for the gradient fill the memory


def attention(q: Tensor, k: Tensor, v: Tensor, attend: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """``softmax(q k^T / sqrt(head_dim)) v``.

    The fused kernel of CPUs multiplies bf16 as float32 unless they have AMX. Those that have bf16 products without AMX
    are faster with products one after the other; the scores are then rounded to bf16.

    Args:
        q, k, v: ``(B, H, T, head_dim)``.
        attend: True where attending is allowed, or numbers added to the scores; broadcastable to ``(B, H, T, T)``.
        causal: look at no later column; without ``attend``.
    """
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and products_are_faster():
        same_for_all = attend is None or (attend.dtype == torch.bool and attend.shape[-2] == 1)  # queries
        if not torch.is_grad_enabled() and not causal and same_for_all:
            return attention_by_products(q, k, v, attend)
        if torch.is_grad_enabled() and k.shape[2] <= LONGEST:
            return trained_attention(q, k, v, attend, causal)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attend, is_causal=causal)


def trained_attention(q: Tensor, k: Tensor, v: Tensor, attend: Tensor | None, causal: bool) -> Tensor:
    """The same in products that gradients go through."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        attend = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if attend is not None:
        # Adding to the small table and in place is much cheaper than filling the scores.
        if attend.dtype == torch.bool:
            attend = torch.zeros(attend.shape, dtype=q.dtype, device=q.device).masked_fill(~attend, float("-inf"))
        scores = scores.add_(attend)
    return scores.softmax(-1) @ v.contiguous()


def attention_by_products(q: Tensor, k: Tensor, v: Tensor, attend: Tensor | None) -> Tensor:
    """The same, a block of queries after the other."""
    k, v, mixed = k.transpose(-1, -2), v.contiguous(), []
    for queries in (q * q.shape[-1] ** -0.5).split(QUERIES, dim=2):
        scores = queries @ k
        if attend is not None:
            scores = scores.masked_fill(~attend, float("-inf"))
        mixed.append(scores.softmax(-1) @ v)
    return torch.cat(mixed, dim=2)


@lru_cache
def products_are_faster() -> bool:
    """Whether this CPU has bf16 products, but not those the fused kernel knows."""
    known = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16")) and not known.get("amx_bf16")
