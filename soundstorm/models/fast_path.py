"""The same networks in less memory and time. With ``ENABLED`` off, all compute as they are written elsewhere.

- the Conformer (``conformer.py``): what is cheap is computed again for its gradient instead of kept, and the
  last block computes frames that are asked for only;
- scaled-dot-product attention in bf16 on CPUs whose fused kernel has no bf16 products;
- HuBERT's first convolution as a matrix product.

Names of weights are the same, and values differ by rounding at most: tests/models/test_fast_path.py compares
both ways.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.conformer import (
    Conformer,
    ConformerBlock,
    ConvolutionModule,
    FeedForward,
    SelfAttention,
    apply_rotary,
)

ENABLED = True

QUERIES = 256  # at a time: their scores stay in a core's cache
LONGEST = 700  # columns that are trained on: beyond, scores that are kept for the gradient fill the memory


def build_conformer(**sizes) -> Conformer:
    """A Conformer of sizes as its constructor takes them."""
    return FastConformer(**sizes) if ENABLED else Conformer(**sizes)


class FastBlock(ConformerBlock):
    """A :class:`ConformerBlock` that keeps less for its gradient.

    It takes weights out of its parts instead of calling them: forward hooks belong on blocks.
    """

    def forward(self, x, tables, attend, padding, rows: Tensor | None = None) -> Tensor:
        """As the block's; with ``rows`` the result is that of those frames ``(M, D)``.

        After the depthwise convolution no frame sees another one.
        """
        x = x.add(_feed_forward(self.first, x), alpha=0.5)
        attended = _self_attention(self.attention, self.attention_norm, x, tables, attend)
        x = x + self.attention_dropout(attended)
        convolved = _convolution(self.convolution, x, padding, rows)
        x = (x if rows is None else x.flatten(0, 1)[rows]) + convolved
        x = x.add(_feed_forward(self.second, x), alpha=0.5)
        return self.norm(x)


class FastConformer(Conformer):
    """A :class:`Conformer` of such blocks, the last of which does less for frames that are not asked for."""

    block = FastBlock

    def forward(self, x: Tensor, lengths: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to the same, or to ``(M, D)``; arguments are those of :class:`Conformer`."""
        context = self.context(x, lengths)
        for block in self.blocks[:-1]:
            x = block(x, *context)
        return self.blocks[-1](x, *context, rows)


def _feed_forward(module: FeedForward, x: Tensor) -> Tensor:
    norm, expand, _, dropout, contract, last_dropout = module
    x = linear_of(normalised, expand, x, norm.weight, norm.bias)
    if dropout.p and module.training:
        return last_dropout(contract(dropout(F.silu(x))))
    # The widest array of the network need not be there twice.
    activation = F.silu if x.requires_grad else _silu_in_place
    return last_dropout(linear_of(activation, contract, x))


def _silu_in_place(x: Tensor) -> Tensor:
    return F.silu(x, inplace=True)


def _self_attention(
    module: SelfAttention, norm: nn.LayerNorm, x: Tensor, tables, attend: Tensor | None
) -> Tensor:
    batch, frames, width = x.shape
    projected = linear_of(normalised, module.query_key_value, x, norm.weight, norm.bias)
    projected = projected.view(batch, frames, 3, module.heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = projected
    if module.rotary:
        # A copy of the values lets go of all three together, which training would keep for them.
        v = v.contiguous()
        q, k = apply_rotary(projected[:2], *tables)
    mixed = attention(q, k, v, attend)
    return module.output(mixed.transpose(1, 2).reshape(batch, frames, width))


def _convolution(module: ConvolutionModule, x: Tensor, padding: Tensor | None, rows: Tensor | None) -> Tensor:
    norm, inner_norm = module.norm, module.inner_norm
    x = F.glu(linear_of(normalised, module.expand, x, norm.weight, norm.bias), dim=-1)
    if padding is not None:
        x = x.masked_fill(padding, 0.0)
    x = module.depthwise(x.transpose(1, 2)).transpose(1, 2)
    if rows is not None:
        x = x.flatten(0, 1)[rows]
    return module.dropout(linear_of(normalised_silu, module.contract, x, inner_norm.weight, inner_norm.bias))


def linear_of(function: Callable[..., Tensor], linear: nn.Linear, x: Tensor, *parameters: Tensor) -> Tensor:
    """``linear(function(x, *parameters))``.

    Where there is a gradient to come, ``function(x)`` is not kept for it but computed again, which is worth
    it for
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
        ctx.function, kind = function, x.device.type
        lower = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        ctx.lower = torch.get_autocast_dtype(kind) if lower else None
        ctx.save_for_backward(x, weight, *parameters)
        return F.linear(function(x, *parameters), weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, *parameters = (tensor.detach() for tensor in ctx.saved_tensors)
        # A gradient is computed outside autocast; a GPU normalises nothing of another type than the norm's weights.
        with torch.enable_grad(), torch.autocast(x.device.type, ctx.lower) if ctx.lower else nullcontext():
            sources = [tensor.requires_grad_() for tensor in (x, *parameters)]
            value = ctx.function(*sources)
        flat = gradient.flatten(0, -2)
        # Under autocast the product was of the gradient's type, whatever its arguments were.
        of_weight = flat.t() @ value.detach().flatten(0, -2).to(flat.dtype)
        of_value = (gradient @ weight.to(gradient.dtype)).to(value.dtype)
        of_sources = torch.autograd.grad(value, sources, of_value)
        return None, of_sources[0], of_weight.to(weight.dtype), flat.sum(0).to(weight.dtype), *of_sources[1:]


def attention(
    q: Tensor, k: Tensor, v: Tensor, attend: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """``softmax(q k^T / sqrt(head_dim)) v``: ``F.scaled_dot_product_attention``, or the same in products.

    The fused kernel of CPUs multiplies bf16 as float32 unless they have AMX, and what it then saves in a pass
    it loses in the gradient. Where products one after the other are faster, the scores are rounded to bf16.

    Args:
        q, k, v: ``(B, H, T, head_dim)``.
        attend: True where attending is allowed, or numbers added to the scores; broadcastable to ``(B, H, T,
            T)``.
        causal: look at no later column; without ``attend``.
    """
    trained = torch.is_grad_enabled()
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and ENABLED and products_are_faster(trained):
        same_for_all = attend is None or (attend.dtype == torch.bool and attend.shape[-2] == 1)  # queries
        if not trained and not causal and same_for_all:
            return attention_by_products(q, k, v, attend)
        if trained and k.shape[2] <= LONGEST:
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
            attend = torch.zeros(attend.shape, dtype=q.dtype, device=q.device).masked_fill(
                ~attend, float("-inf")
            )
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
def products_are_faster(trained: bool) -> bool:
    """Whether this CPU has bf16 products, and where no gradient is wanted not those the fused kernel knows."""
    known = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16")) and (trained or not known.get("amx_bf16"))


def speed_up_hubert(hubert: nn.Module) -> None:
    """Give a ``HubertModel`` of transformers the first convolution and the attention that are fast here."""
    if not ENABLED:
        return
    first = hubert.feature_extractor.conv_layers[0]
    first.conv = WaveformConvolution(first.conv)
    if products_are_faster(trained=True) and not torch.cuda.is_available():
        hubert.config._attn_implementation = "eager"  # products; saved models do not carry it


class WaveformConvolution(nn.Conv1d):
    """The convolution of one channel, without padding, as a product of frames and filters.

    On CPUs the gradient of a convolution with a filter as long as a frame takes longer than all the rest of
    it.
    """

    def __init__(self, conv: nn.Conv1d):
        """Take over sizes and weights of ``conv``."""
        super().__init__(
            1, conv.out_channels, conv.kernel_size[0], conv.stride[0], bias=conv.bias is not None
        )
        self.load_state_dict(conv.state_dict())

    def forward(self, wav: Tensor) -> Tensor:
        """``(B, 1, S)`` to ``(B, channels, frames)``."""
        frames = wav[:, 0].unfold(-1, self.kernel_size[0], self.stride[0])
        return F.linear(frames, self.weight[:, 0], self.bias).transpose(1, 2)
