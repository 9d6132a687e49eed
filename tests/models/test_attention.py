"""Attention by products against the fused kernel and against loops."""

import pytest
import torch
import torch.nn.functional as F

from soundstorm.models import attention as module
from soundstorm.models.attention import LONGEST, attention, attention_by_products, trained_attention


def inputs(frames, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, frames, 8, generator=generator).to(dtype) for _ in range(3)]


def slow_attention(q, k, v, lengths):
    out = torch.zeros_like(q)
    for b, length in enumerate(lengths):
        for h in range(q.shape[1]):
            for t in range(q.shape[2]):
                scores = torch.stack([q[b, h, t] @ k[b, h, s] for s in range(length)]) / 8**0.5
                out[b, h, t] = sum(w * v[b, h, s] for s, w in enumerate(scores.softmax(0)))
    return out


def test_products_equal_their_slow_twin():
    q, k, v = inputs(6)
    attend = torch.arange(6) < torch.tensor([6, 4])[:, None]
    found = attention_by_products(q, k, v, attend[:, None, None])
    torch.testing.assert_close(found, slow_attention(q, k, v, [6, 4]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [5, 256, 300])
def test_blocks_of_queries_equal_the_fused_kernel(frames):
    q, k, v = inputs(frames)
    torch.testing.assert_close(attention_by_products(q, k, v, None), F.scaled_dot_product_attention(q, k, v))


def test_bf16_is_as_near_to_float32_as_bf16_is():
    exact = F.scaled_dot_product_attention(*(part.float() for part in inputs(300, torch.bfloat16)))
    found = attention_by_products(*inputs(300, torch.bfloat16), None)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() < 0.01 * exact.abs().mean()


@pytest.mark.parametrize("kind", ["everything", "lengths", "numbers", "causal"])
def test_products_have_the_gradients_of_the_fused_kernel(kind):
    attend = {
        "lengths": (torch.arange(6) < torch.tensor([6, 4])[:, None])[:, None, None],
        "numbers": torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(1)),
    }.get(kind)
    if kind == "numbers":
        attend.requires_grad_()
    found, wanted = ([part.requires_grad_() for part in inputs(6)] for _ in range(2))
    outs = [
        trained_attention(*found, attend, kind == "causal"),
        F.scaled_dot_product_attention(*wanted, attn_mask=attend, is_causal=kind == "causal"),
    ]
    torch.testing.assert_close(*outs)
    numbers = [attend] if kind == "numbers" else []
    gradients = [
        torch.autograd.grad(out.square().sum(), [*parts, *numbers])
        for out, parts in zip(outs, (found, wanted), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("frames", [6, 300])
@pytest.mark.parametrize("kind", ["bool", "numbers"])
def test_masks_that_differ_between_queries_mean_the_same_everywhere(monkeypatch, kind, frames, gradient):
    monkeypatch.setattr(module, "products_are_faster", lambda: True)
    q, k, v = inputs(frames, torch.bfloat16)
    earlier = torch.ones(frames, frames, dtype=torch.bool).tril()
    attend = earlier[None, None]
    if kind == "numbers":
        attend = torch.zeros(1, 3, frames, frames, dtype=torch.bfloat16).masked_fill(~earlier, float("-inf"))
    with torch.set_grad_enabled(gradient):
        found = attention(q, k, v, attend)
    exact = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)
    assert (found.float() - exact).abs().mean() < 0.01 * exact.abs().mean()


@pytest.mark.parametrize("faster", [True, False])
def test_only_bf16_goes_by_products_and_what_is_trained_on_if_short(monkeypatch, faster):
    asked = []
    monkeypatch.setattr(module, "products_are_faster", lambda: faster)
    monkeypatch.setattr(module, "attention_by_products", lambda q, *_: asked.append("read") or q)
    monkeypatch.setattr(module, "trained_attention", lambda q, *_: asked.append("trained") or q)
    with torch.no_grad():
        attention(*inputs(4))
        attention(*inputs(LONGEST + 1, torch.bfloat16))
        attention(*inputs(4, torch.bfloat16), causal=True)
    attention(*inputs(4))
    attention(*inputs(4, torch.bfloat16))
    attention(*inputs(LONGEST + 1, torch.bfloat16))
    assert asked == (["read", "trained"] if faster else [])
