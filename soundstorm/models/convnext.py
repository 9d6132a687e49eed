"""ConvNeXt over frames: nearly all of its arithmetic is in dense layers, which suits a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over frames, then two dense layers on each frame, with a residual connection."""

    def __init__(self, width: int, hidden: int, kernel_size: int, scale: float):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Frames (B, T, D) to the same; ``mask`` (B, T) keeps padding out of its neighbours."""
        mixed = self.depthwise((frames * mask[..., None]).mT).mT
        return frames + self.scale * self.contract(F.gelu(self.expand(self.norm(mixed))))


class ConvNeXtStack(nn.Module):
    """Dense input layer, blocks, final normalization."""

    def __init__(self, inputs: int, width: int, expansion: int, num_blocks: int, kernel_size: int):
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.first_norm = nn.LayerNorm(width)
        # Small residual branches at the start, as many as there are: the sum keeps its size.
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, expansion * width, kernel_size, 1 / max(num_blocks, 1))
            for _ in range(num_blocks)
        )
        self.last_norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Frames ``(B, T, inputs)`` and the mask ``(B, T)`` of real ones to ``(B, T, width)``."""
        return self.last_norm(self.after(len(self.blocks), frames, mask))

    def after(self, blocks: int, frames: Tensor, mask: Tensor) -> Tensor:
        """What leaves the first so many blocks ``(B, T, width)``; 0: what enters the first one."""
        frames = self.first_norm(self.embed(frames))
        for block in self.blocks[:blocks]:
            frames = block(frames, mask)
        return frames
