"""Bidirectional Conformer with rotary positions, the backbone of SoundStorm (section 3.1; Gulati et al., 2020).

Choices the paper leaves open: macaron half-step feed-forwards, convolution module with expansion 2 and LayerNorm in
place of BatchNorm (which would mix examples and padding), Swish. With the paper's sizes they give 354M parameters
where it says 350M; without macaron or with expansion 1 they do not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.attention import attention
from soundstorm.models.recompute import linear_of, normalised, normalised_silu


def rotary_tables(num_frames: int, head_dim: int, device, dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(T, head_dim / 2)`` of rotary positions (Su et al., 2021)."""
    frequency = 10000.0 ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angle = torch.arange(num_frames, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs (first half, second half) of the last axis of ``(..., T, head_dim)``."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class SelfAttention(nn.Module):
    """Multi-head attention over all frames of an example; padding is not attended to.

    Without dropout on the attention weights, which would rule out the fused kernels.
    """

    def __init__(self, width: int, heads: int, rotary: bool = True):
        super().__init__()
        self.heads, self.rotary = heads, rotary
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, tables: tuple[Tensor, Tensor], attend: Tensor | None, norm: nn.LayerNorm | None = None
    ) -> Tensor:
        """``x (B, T, D)``, ``attend`` bool ``(B, 1, 1, T)`` or None when nothing is padded; ``norm`` comes first."""
        batch, frames, width = x.shape
        enter = self.query_key_value
        x = enter(x) if norm is None else linear_of(normalised, enter, x, norm.weight, norm.bias)
        projected = x.view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = projected
        if self.rotary:
            # A copy of the values lets go of all three together, which training would keep for them.
            v = v.contiguous()
            q, k = apply_rotary(projected[:2], *(table.to(q.dtype) for table in tables))
        mixed = attention(q, k, v, attend)
        return self.output(mixed.transpose(1, 2).reshape(batch, frames, width))


def _silu_in_place(x: Tensor) -> Tensor:
    return F.silu(x, inplace=True)


class FeedForward(nn.Sequential):
    """Swish feed-forward."""

    def __init__(self, width: int, inner: int, dropout: float):
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, inner),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D)`` to the same."""
        norm, enter, _, dropout, leave, last_dropout = self
        x = linear_of(normalised, enter, x, norm.weight, norm.bias)
        if dropout.p and self.training:
            return last_dropout(leave(dropout(F.silu(x))))
        # The widest array of the network need not be there twice.
        activation = F.silu if x.requires_grad else _silu_in_place
        return last_dropout(linear_of(activation, leave, x))


class ConvolutionModule(nn.Module):
    """Pointwise GLU, depthwise convolution over time, pointwise. Padding is zeroed before the depthwise step."""

    def __init__(self, width: int, kernel: int, expansion: int, dropout: float):
        super().__init__()
        inner = width * expansion
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * inner)
        self.depthwise = nn.Conv1d(inner, inner, kernel, padding=kernel // 2, groups=inner)
        self.inner_norm = nn.LayerNorm(inner)
        self.contract = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """``x (B, T, D)``; ``padding`` bool ``(B, T, 1)``, True where padded, or None; ``rows`` as of the block."""
        x = F.glu(linear_of(normalised, self.expand, x, self.norm.weight, self.norm.bias), dim=-1)
        if padding is not None:
            x = x.masked_fill(padding, 0.0)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        if rows is not None:
            x = x.flatten(0, 1)[rows]
        norm = self.inner_norm
        return self.dropout(linear_of(normalised_silu, self.contract, x, norm.weight, norm.bias))


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(
        self, width: int, heads: int, inner: int, kernel: int, expansion: int, dropout: float, rotary: bool = True
    ):
        super().__init__()
        self.first = FeedForward(width, inner, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, rotary)
        self.attention_dropout = nn.Dropout(dropout)
        self.convolution = ConvolutionModule(width, kernel, expansion, dropout)
        self.second = FeedForward(width, inner, dropout)
        self.norm = nn.LayerNorm(width)
        # Every branch starts as nothing, so that the network starts as its input and learns from there.
        for last in (self.first[4], self.attention.output, self.convolution.contract, self.second[4]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        x: Tensor,
        tables: tuple[Tensor, Tensor],
        attend: Tensor | None,
        padding: Tensor | None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """``x (B, T, D)`` to the same; the rest as for its attention and its convolution module.

        With ``rows``, int64 ``(M,)``, numbers of frames in the batch laid out flat, the result is that of those frames
        ``(M, D)``: after the depthwise convolution no frame sees another one.
        """
        x = x.add(self.first(x), alpha=0.5)
        x = x + self.attention_dropout(self.attention(x, tables, attend, self.attention_norm))
        convolved = self.convolution(x, padding, rows)
        x = (x if rows is None else x.flatten(0, 1)[rows]) + convolved
        x = x.add(self.second(x), alpha=0.5)
        return self.norm(x)


class Conformer(nn.Module):
    """A stack of Conformer blocks over ``(B, T, D)``."""

    def __init__(
        self,
        *,
        layers: int,
        width: int,
        heads: int,
        inner: int,
        kernel: int,
        expansion: int,
        dropout: float,
        rotary: bool = True,
    ):
        """
        Raises:
            ValueError: sizes that do not fit together.
        """
        super().__init__()
        if width % heads or (width // heads) % 2:
            raise ValueError(f"width {width} must be {heads} heads times an even number, for rotary positions")
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} must be odd, so that frames stay where they are")
        self.head_dim = width // heads
        self.blocks = nn.ModuleList(
            ConformerBlock(width, heads, inner, kernel, expansion, dropout, rotary) for _ in range(layers)
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """
        Args:
            x: ``(B, T, D)``.
            lengths: frames of each example, int64 ``(B,)``; None when none is padded.
            rows: int64 ``(M,)``, frames that matter, ``b * T + t``; the last block does less for others. None: all.

        Returns:
            ``(B, T, D)``, or ``(M, D)`` of the rows; values at padded frames mean nothing.
        """
        frames = x.shape[1]
        tables = rotary_tables(frames, self.head_dim, x.device, torch.float32)
        attend = padding = None
        if lengths is not None:
            inside = torch.arange(frames, device=x.device) < lengths[:, None]
            attend, padding = inside[:, None, None, :], ~inside[:, :, None]
        for block in self.blocks[:-1]:
            x = block(x, tables, attend, padding)
        return self.blocks[-1](x, tables, attend, padding, rows)
