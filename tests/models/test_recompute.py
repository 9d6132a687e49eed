"""Products that recompute their input, against autograd's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from soundstorm.models.recompute import linear_of, normalised, normalised_silu


def gradients(value, x, *modules):
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
            (linear_of(normalised_silu, linear, x, norm.weight, norm.bias), linear(F.silu(norm(x))), (norm, linear)),
        ]
    for ours, theirs, modules in pairs:
        assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
        found, expected = gradients(ours, x, *modules), gradients(theirs, x, *modules)
        for mine, right in zip(found, expected, strict=True):
            assert mine.dtype == right.dtype
            torch.testing.assert_close(mine, right, rtol=2e-2 if autocast else 1e-5, atol=0.5 if autocast else 1e-4)


def test_only_the_source_is_kept():
    linear, x, kept = nn.Linear(12, 20), torch.randn(5, 12, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        linear_of(F.silu, linear, x)
    assert {tensor.data_ptr() for tensor in kept} == {x.data_ptr(), linear.weight.data_ptr()}


def test_without_a_gradient_nothing_is_kept():
    linear, x = nn.Linear(12, 20), torch.randn(5, 12)
    with torch.no_grad():
        assert torch.equal(linear_of(F.silu, linear, x), linear(F.silu(x)))
        assert linear_of(F.silu, linear, x).grad_fn is None
