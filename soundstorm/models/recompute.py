"""Matrix products that keep their input's source instead of their input: less memory in training, the same numbers."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear_of(function: Callable[..., Tensor], linear: nn.Linear, x: Tensor, *parameters: Tensor) -> Tensor:
    """``linear(function(x, *parameters))``.

    Where there is a gradient to come, ``function(x)`` is not kept for it but computed again, which is worth it for
    something as cheap as an activation or a normalisation: its result is as large as x.

    Args:
        function: elementwise, or of each frame alone; without randomness.
        linear: has a bias.
        x: ``(..., D)``.
        parameters: what else the function is to be differentiated by.
    """
    if torch.is_grad_enabled() and (x.requires_grad or linear.weight.requires_grad):
        return _LinearOf.apply(function, x, linear.weight, linear.bias, *parameters)
    return linear(function(x, *parameters))


def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """LayerNorm over the last axis as a function, for :func:`linear_of`."""
    return F.layer_norm(x, weight.shape, weight, bias)


def normalised_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Swish of :func:`normalised`."""
    return F.silu(normalised(x, weight, bias))


class _LinearOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, x, weight, bias, *parameters):
        ctx.function = function
        ctx.save_for_backward(x, weight, *parameters)
        return F.linear(function(x, *parameters), weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, *parameters = (tensor.detach() for tensor in ctx.saved_tensors)
        with torch.enable_grad():
            sources = [tensor.requires_grad_() for tensor in (x, *parameters)]
            value = ctx.function(*sources)
        flat = gradient.flatten(0, -2)
        # Under autocast the product was of the gradient's type, whatever its arguments were.
        of_weight = flat.t() @ value.detach().flatten(0, -2).to(flat.dtype)
        of_value = (gradient @ weight.to(gradient.dtype)).to(value.dtype)
        of_sources = torch.autograd.grad(value, sources, of_value)
        return None, of_sources[0], of_weight.to(weight.dtype), flat.sum(0).to(weight.dtype), *of_sources[1:]
