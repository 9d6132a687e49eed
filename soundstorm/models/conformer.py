"""Bidirectional Conformer with rotary positions, the backbone of SoundStorm (section 3.1; Gulati et al.,
2020).

Choices the paper leaves open: macaron half-step feed-forwards, convolution module with expansion 2 and
    LayerNorm in
place of BatchNorm (which would mix examples and padding), Swish. With the paper's sizes they give 354M
parameters where it says 350M; without macaron or with expansion 1 they do not.

This is the network as one reads it. ``fast_path.py`` computes the same in less memory and time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.errors import InputError


def rotary_tables(num_frames: int, head_dim: int, device, dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(T, head_dim / 2)`` of rotary positions (Su et al., 2021)."""
    frequency = 10000.0 ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angle = torch.arange(num_frames, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs (first half, second half) of the last axis of ``(..., T, head_dim)``."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
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

    def forward(self, x: Tensor, tables: tuple[Tensor, Tensor], attend: Tensor | None) -> Tensor:
        """``x (B, T, D)``; rotary ``tables``; ``attend`` bool ``(B, 1, 1, T)``, None: no padding."""
        batch, frames, width = x.shape
        q, k, v = self.query_key_value(x).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if self.rotary:
            q, k = apply_rotary(q, *tables), apply_rotary(k, *tables)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
        return self.output(mixed.transpose(1, 2).reshape(batch, frames, width))


class FeedForward(nn.Sequential):
    """Norm and Swish feed-forward: ``(..., D)`` to the same."""

    def __init__(self, width: int, inner: int, dropout: float):
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, inner),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
            nn.Dropout(dropout),
        )


class ConvolutionModule(nn.Module):
    """Norm, pointwise GLU, depthwise convolution over time, norm, Swish, pointwise.

    Padding is zeroed before the depthwise step.
    """

    def __init__(self, width: int, kernel: int, expansion: int, dropout: float):
        super().__init__()
        inner = width * expansion
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * inner)
        self.depthwise = nn.Conv1d(inner, inner, kernel, padding=kernel // 2, groups=inner)
        self.inner_norm = nn.LayerNorm(inner)
        self.contract = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """``x (B, T, D)``; ``padding`` bool ``(B, T, 1)``, True where padded, or None."""
        x = F.glu(self.expand(self.norm(x)), dim=-1)
        if padding is not None:
            x = x.masked_fill(padding, 0.0)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.dropout(self.contract(F.silu(self.inner_norm(x))))


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        kernel: int,
        expansion: int,
        dropout: float,
        rotary: bool = True,
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
        self, x: Tensor, tables: tuple[Tensor, Tensor], attend: Tensor | None, padding: Tensor | None
    ) -> Tensor:
        """``x (B, T, D)`` to the same; the rest as for its attention and its convolution module."""
        x = x + 0.5 * self.first(x)
        x = x + self.attention_dropout(self.attention(self.attention_norm(x), tables, attend))
        x = x + self.convolution(x, padding)
        x = x + 0.5 * self.second(x)
        return self.norm(x)


class Conformer(nn.Module):
    """A stack of Conformer blocks over ``(B, T, D)``."""

    block = ConformerBlock

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
            raise InputError(
                f"width {width} must be {heads} heads times an even number, for rotary positions"
            )
        if kernel % 2 == 0:
            raise InputError(f"kernel {kernel} must be odd, so that frames stay where they are")
        self.head_dim = width // heads
        self.blocks = nn.ModuleList(
            self.block(width, heads, inner, kernel, expansion, dropout, rotary) for _ in range(layers)
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """
        Args:
            x: ``(B, T, D)``.
            lengths: frames of each example, int64 ``(B,)``; None when none is padded.
            rows: frames asked for, int64 ``(M,)``, ``b * T + t``; None: all.

        Returns:
            ``(B, T, D)``, or ``(M, D)`` of the rows; values at padded frames mean nothing.
        """
        context = self.context(x, lengths)
        for block in self.blocks:
            x = block(x, *context)
        return x if rows is None else x.flatten(0, 1)[rows]

    def context(self, x: Tensor, lengths: Tensor | None) -> tuple:
        """What a block takes beside its input: rotary tables, frames to attend to, frames of padding."""
        frames = x.shape[1]
        tables = rotary_tables(frames, self.head_dim, x.device, torch.float32)
        if lengths is None:
            return tables, None, None
        inside = torch.arange(frames, device=x.device) < lengths[:, None]
        return tables, inside[:, None, None, :], ~inside[:, :, None]
