"""Encoder and decoder blocks: pre-norm, rotary positions, gated feed-forward, attention."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.conformer import apply_rotary
from soundstorm.models.fast_path import attention


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary position embedding (RoFormer, equation 34): a dot product then depends on the distance only.

    Args:
        x: queries, keys or both ``(..., B, heads, T, head_dim)``.
        positions: frame numbers ``(T,)``, or ``(B, 1, T)`` where rows differ.
    """
    return apply_rotary(x, *rotary_angles(positions, x.shape[-1], x.dtype))


def rotary_angles(positions: Tensor, head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(..., T, head_dim / 2)`` of :func:`rotate`."""
    half = head_dim // 2
    rates = torch.exp(torch.arange(half, device=positions.device) * (-math.log(10000.0) / half))
    angles = positions[..., None].float() * rates
    return angles.cos().to(dtype), angles.sin().to(dtype)


def known_angles(
    start: int, end: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """:func:`rotary_angles` of the positions from ``start`` to before ``end``, kept for the next steps and layers."""
    capacity = max(256, 1 << (end - 1).bit_length())
    cosines, sines = _angle_table(capacity, head_dim, dtype, device)
    return cosines[start:end], sines[start:end]


@lru_cache(maxsize=16)
def _angle_table(
    capacity: int, head_dim: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # whoever asks first
        return rotary_angles(torch.arange(capacity, device=device), head_dim, dtype)


@dataclass
class TokenTimes:
    """Frame numbers of columns of a row: ``(B, L)`` each."""

    times: Tensor  # frame of each token
    due: Tensor  # frame of the token that it predicts
    condition: Tensor  # bool: whether it is conditioning
    _angles: dict = field(default_factory=dict)  # the same for all layers

    def rotary_angles(self, head_dim: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
        """Cosines and sines, as :func:`apply_rotary` takes them, for queries and for keys."""
        if (head_dim, dtype) not in self._angles:
            both = (self.due[:, None], self.times[:, None])
            self._angles[head_dim, dtype] = [rotary_angles(frames, head_dim, dtype) for frames in both]
        return self._angles[head_dim, dtype]


class TimeRotation(nn.Module):
    """Rotary positions in time: from the frame a query predicts to the frame of each key.

    Every head adds learned biases to queries and to keys, separate ones for conditioning (as Transformer-XL
    does to queries): scores then have a term of the distance alone. In half of the heads the biases are
    initialised to attend to the conditioning of the predicted frame, so a model need not learn to count.
    """

    sharpness = 3.0  # of that initialisation: a neighbouring frame gets a tenth of the right one's attention

    def __init__(self, heads: int, head_dim: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(heads, head_dim))
        self.key = nn.Parameter(torch.zeros(2, heads, head_dim))  # of other tokens; of conditioning
        half = head_dim // 2
        fast = 10000.0 ** (-torch.arange(half) / half) > 0.05  # the others hardly tell neighbours apart
        start = torch.zeros(head_dim)
        start[:half][fast] = math.sqrt(self.sharpness * math.sqrt(head_dim))
        with torch.no_grad():
            self.query[: (heads + 1) // 2] = start
            self.key[1, : (heads + 1) // 2] = start

    def forward(self, queries: Tensor, keys: Tensor, times: TokenTimes) -> tuple[Tensor, Tensor]:
        """Queries and keys ``(B, heads, L, head_dim)`` in, the same rotated out."""
        key = self.key[times.condition.long()].transpose(1, 2)
        queries = (queries + self.query[:, None]).to(queries.dtype)
        keys = (keys + key).to(keys.dtype)
        of_queries, of_keys = times.rotary_angles(queries.shape[-1], queries.dtype)
        return apply_rotary(queries, *of_queries), apply_rotary(keys, *of_keys)


def sinusoids(length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Fixed position vectors ``(length, dim)`` (Attention is all you need, section 3.5)."""
    half = (dim + 1) // 2
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(10000.0) / half))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :dim]


class GatedFeedForward(nn.Module):
    """T5 v1.1's feed-forward: one half of the inner layer gates the other."""

    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.enter = nn.Linear(dim, 2 * inner, bias=False)
        self.leave = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, dim)`` to the same."""
        gate, value = self.enter(x).chunk(2, dim=-1)
        return self.leave(F.gelu(gate, approximate="tanh") * value)


@dataclass
class KeyValues:
    """Keys and values ``(B, heads, capacity, head_dim)`` of earlier positions; ``length`` are filled."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``(B, heads, n, head_dim)``; returns all keys and values so far."""
        end = self.length + keys.shape[2]
        if end > self.keys.shape[2]:  # grow by doubling: appending stays linear in the length
            room = max(end, 2 * self.keys.shape[2])
            self.keys, self.values = (_grown(old, room) for old in (self.keys, self.values))
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Forget all batch items but ``rows`` (indices)."""
        self.keys, self.values = self.keys[rows], self.values[rows]


def _grown(old: Tensor, room: int) -> Tensor:
    new = old.new_zeros(*old.shape[:2], room, old.shape[3])
    new[:, :, : old.shape[2]] = old
    return new


class SelfAttention(nn.Module):
    """Self-attention, with rotary positions unless the mask has positional biases."""

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        *,
        rotary: bool = True,
        rotation: TimeRotation | None = None,
    ):
        """
        Args:
            dim, heads, head_dim: sizes.
            rotary: whether a dot product depends on the distance between columns.
            rotation: makes it depend on the distance in time instead.
        """
        super().__init__()
        self.heads, self.head_dim, self.rotary = heads, head_dim, rotary
        self.project = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.leave = nn.Linear(heads * head_dim, dim, bias=False)
        self.rotation = rotation

    def forward(self, x: Tensor, *, mask: Tensor | None = None, cache: KeyValues | None = None,
                causal: bool = False, times: TokenTimes | None = None) -> Tensor:  # fmt: skip
        """
        Args:
            x: ``(B, T, D)``; with a cache, the new positions only.
            mask: True where attending is allowed, or numbers added to the scores; broadcastable to
                ``(B, heads, T, K)``, the cached positions and the new ones being the K.
            cache: earlier positions; extended in place.
            causal: look at no later position.
            times: of ``x``, if positions are in time.
        """
        batch, length, _ = x.shape
        projected = self.project(x).view(batch, length, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        queries, keys, values = projected
        start = 0 if cache is None else cache.length
        if self.rotation is not None:
            queries, keys = self.rotation(queries, keys, times)
        elif self.rotary:
            if cache is None:
                queries, keys = rotate(projected[:2], torch.arange(length, device=x.device))
            else:
                angles = known_angles(start, start + length, self.head_dim, projected.dtype, x.device)
                queries, keys = apply_rotary(projected[:2], *angles)
        if cache is not None:
            keys, values = cache.extend(keys, values)
            if causal and start and length > 1:
                mask = torch.ones(length, start + length, dtype=torch.bool, device=x.device).tril(start)
            causal = causal and start == 0 and length > 1
        if mask is not None and mask.is_floating_point():
            mask = mask.to(queries.dtype)
        # No attention dropout: the fast kernels of CPUs have none, the others take three times as long.
        out = attention(queries, keys, values, mask, causal=causal)
        return self.leave(out.transpose(1, 2).reshape(batch, length, -1))

    def empty_cache(self, batch: int, like: Tensor, capacity: int = 64) -> KeyValues:
        """A cache without any position yet; ``like`` gives device and number format."""
        keys, values = like.new_zeros(2, batch, self.heads, capacity, self.head_dim).unbind(0)
        return KeyValues(keys, values)


class CrossAttention(nn.Module):
    """Attention to a memory, whose keys and values are computed once."""

    used_outside = ("project",)  # before the block runs: see ``training/layout.py``

    def __init__(self, dim: int, heads: int, head_dim: int):
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.project = nn.Linear(dim, 2 * heads * head_dim, bias=False)
        self.leave = nn.Linear(heads * head_dim, dim, bias=False)

    def read(self, memory: Tensor) -> KeyValues:
        """Keys and values ``(B, heads, L, head_dim)`` of a memory ``(B, L, D)``."""
        batch, length, _ = memory.shape
        keys, values = (
            part.view(batch, length, self.heads, self.head_dim).transpose(1, 2)
            for part in self.project(memory).chunk(2, -1)
        )
        return KeyValues(keys, values, length)

    def forward(self, x: Tensor, memory: KeyValues, *, mask: Tensor | None) -> Tensor:
        """
        Args:
            x: ``(B, T, D)``.
            memory: from :meth:`read`.
            mask: True at existing memory positions, ``(B, 1, 1, L)``; None: all exist.

        Returns:
            ``(B, T, D)``.
        """
        batch, length, _ = x.shape
        queries = self.query(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        out = attention(queries, memory.keys, memory.values, mask)
        return self.leave(out.transpose(1, 2).reshape(batch, length, -1))


class SelfBlock(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(
        self, dim: int, heads: int, head_dim: int, ffn_dim: int, dropout: float, *, rotary: bool = True,
        rotation: TimeRotation | None = None,
    ):  # fmt: skip
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim, bias=False)
        self.attention = SelfAttention(dim, heads, head_dim, rotary=rotary, rotation=rotation)
        self.feed_norm = nn.LayerNorm(dim, bias=False)
        self.feed = GatedFeedForward(dim, ffn_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, cache: KeyValues | None = None, **options) -> Tensor:
        """``x`` ``(B, L, D)``; the rest as in :class:`SelfAttention`."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask=mask, cache=cache, **options))
        return x + self.dropout(self.feed(self.feed_norm(x)))


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the text, feed-forward."""

    def __init__(self, dim: int, heads: int, head_dim: int, ffn_dim: int, dropout: float):
        super().__init__()
        self.self_norm = nn.LayerNorm(dim, bias=False)
        self.self_attention = SelfAttention(dim, heads, head_dim)
        self.cross_norm = nn.LayerNorm(dim, bias=False)
        self.cross_attention = CrossAttention(dim, heads, head_dim)
        self.feed_norm = nn.LayerNorm(dim, bias=False)
        self.feed = GatedFeedForward(dim, ffn_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: KeyValues, *, mask: Tensor | None, cache: KeyValues | None = None
    ) -> Tensor:
        """New frames ``(B, T, D)`` to their states; memory and mask as for :class:`CrossAttention`."""
        x = x + self.dropout(self.self_attention(self.self_norm(x), cache=cache, causal=True))
        x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory, mask=mask))
        return x + self.dropout(self.feed(self.feed_norm(x)))
