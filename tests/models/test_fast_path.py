"""The fast path against the networks as they are written elsewhere, autograd's gradients, and loops."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from soundstorm.models import fast_path
from soundstorm.models.conformer import Conformer
from soundstorm.models.fast_path import (
    LONGEST,
    FastConformer,
    WaveformConvolution,
    attention,
    attention_by_products,
    build_conformer,
    linear_of,
    normalised,
    normalised_silu,
    trained_attention,
)


def conformers(dropout=0.0, expansion=2):
    """The readable one and the fast one, of the same weights, none of them zero."""
    sizes = {"layers": 2, "width": 24, "heads": 2, "inner": 32, "kernel": 3, "expansion": expansion}
    readable, fast = Conformer(**sizes, dropout=dropout), FastConformer(**sizes, dropout=dropout)
    generator = torch.Generator().manual_seed(1)
    for weight in readable.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)
    assert list(fast.state_dict()) == list(readable.state_dict())
    fast.load_state_dict(readable.state_dict())
    return readable, fast


def output_and_gradients(model, x, lengths, rows=None, bf16=False):
    x = x.clone().requires_grad_()
    torch.manual_seed(3)  # dropout
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = model(x, lengths, rows)
    out.float().square().sum().backward()
    return [out, x.grad, *(weight.grad for weight in model.parameters())]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("lengths", [None, torch.tensor([40, 33])])
@pytest.mark.parametrize("expansion", [1, 2])
def test_a_training_step_of_the_conformer_is_that_of_the_readable_one(dropout, lengths, expansion):
    x = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(0))
    ours, theirs = (
        output_and_gradients(model.train(), x, lengths) for model in conformers(dropout, expansion)
    )
    assert torch.equal(ours[0], theirs[0])
    # Bit for bit too where the products of this machine do not depend on which side is transposed.
    torch.testing.assert_close(ours[1:], theirs[1:], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_conformer_evaluates_as_the_readable_one_does_bit_for_bit(bf16, monkeypatch):
    # Attention by products, which a CPU with bf16 products takes, has tests of its own.
    monkeypatch.setattr(fast_path, "products_are_faster", lambda trained: False)
    x = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        readable, fast = (model.eval()(x, torch.tensor([40, 33])) for model in conformers())
    assert torch.equal(readable, fast)


def test_the_switch_chooses_the_readable_networks(monkeypatch):
    sizes = {"layers": 1, "width": 24, "heads": 2, "inner": 32, "kernel": 3, "expansion": 1, "dropout": 0.0}
    monkeypatch.setattr(fast_path, "products_are_faster", lambda trained: True)
    monkeypatch.setattr(fast_path, "attention_by_products", lambda *_: pytest.fail("not with the switch off"))
    assert type(build_conformer(**sizes)) is FastConformer
    monkeypatch.setattr(fast_path, "ENABLED", False)
    assert type(build_conformer(**sizes)) is Conformer
    q = torch.randn(1, 2, 5, 8).bfloat16()
    with torch.no_grad():
        assert torch.equal(attention(q, q, q), F.scaled_dot_product_attention(q, q, q))


def gradients_of(value, x, *modules):
    value.float().square().sum().backward()
    found = [x.grad.clone(), *(p.grad.clone() for module in modules for p in module.parameters())]
    x.grad = None
    for module in modules:
        module.zero_grad()
    return found


@pytest.mark.parametrize("autocast", [False, True])
def test_values_and_gradients_equal_those_of_autograd(autocast):
    torch.manual_seed(0)
    norm, linear, x = nn.LayerNorm(12), nn.Linear(12, 20), torch.randn(3, 7, 12, requires_grad=True)
    nn.init.normal_(norm.weight)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        pairs = [
            (linear_of(normalised, linear, x, norm.weight, norm.bias), linear(norm(x)), (norm, linear)),
            (linear_of(F.silu, linear, x), linear(F.silu(x)), (linear,)),
            (
                linear_of(normalised_silu, linear, x, norm.weight, norm.bias),
                linear(F.silu(norm(x))),
                (norm, linear),
            ),
        ]
    for ours, theirs, modules in pairs:
        assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
        found, expected = gradients_of(ours, x, *modules), gradients_of(theirs, x, *modules)
        for mine, right in zip(found, expected, strict=True):
            assert mine.dtype == right.dtype
            torch.testing.assert_close(
                mine, right, rtol=2e-2 if autocast else 1e-5, atol=0.5 if autocast else 1e-4
            )


def test_only_the_source_is_kept():
    linear, x, kept = nn.Linear(12, 20), torch.randn(5, 12, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor
    ):
        linear_of(F.silu, linear, x)
    assert {tensor.data_ptr() for tensor in kept} == {x.data_ptr(), linear.weight.data_ptr()}


def test_without_a_gradient_nothing_is_kept():
    linear, x = nn.Linear(12, 20), torch.randn(5, 12)
    with torch.no_grad():
        assert torch.equal(linear_of(F.silu, linear, x), linear(F.silu(x)))
        assert linear_of(F.silu, linear, x).grad_fn is None


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
    monkeypatch.setattr(fast_path, "products_are_faster", lambda trained: True)
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
    monkeypatch.setattr(fast_path, "products_are_faster", lambda trained: faster)
    monkeypatch.setattr(fast_path, "attention_by_products", lambda q, *_: asked.append("read") or q)
    monkeypatch.setattr(fast_path, "trained_attention", lambda q, *_: asked.append("trained") or q)
    with torch.no_grad():
        attention(*inputs(4))
        attention(*inputs(LONGEST + 1, torch.bfloat16))
        attention(*inputs(4, torch.bfloat16), causal=True)
    attention(*inputs(4))
    attention(*inputs(4, torch.bfloat16))
    attention(*inputs(LONGEST + 1, torch.bfloat16))
    assert asked == (["read", "trained"] if faster else [])


@pytest.mark.parametrize(
    "capabilities, trained, read",
    [({}, False, False), ({"avx512_bf16": True}, True, True), ({"avx512_bf16": True, "amx_bf16": True}, True, False)],
)
def test_the_cpu_decides_where_products_are_faster(monkeypatch, capabilities, trained, read):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    decide = fast_path.products_are_faster.__wrapped__  # what it found of this machine is kept
    assert (decide(True), decide(False)) == (trained, read)


@pytest.mark.parametrize("bias", [True, False])
def test_the_first_convolution_is_one(bias):
    torch.manual_seed(0)
    wanted = torch.nn.Conv1d(1, 6, 10, stride=4, bias=bias)
    found, wav = WaveformConvolution(wanted), torch.randn(3, 1, 55)
    assert found.state_dict().keys() == wanted.state_dict().keys()
    outs = [conv(wav) for conv in (found, wanted)]
    torch.testing.assert_close(*outs)
    gradients = [
        torch.autograd.grad(out.square().sum(), list(conv.parameters()))
        for out, conv in zip(outs, (found, wanted), strict=True)
    ]
    torch.testing.assert_close(*gradients)
