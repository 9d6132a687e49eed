"""A shallow U-Net over the codebooks of a frame, in place of the sum of their embeddings.

As in the public "unofficial SoundStorm", but for two things. It normalises by batches, which mixes
utterances and padding; here every cell is normalised by itself. And its lowest convolutions are 3 x 3 where
one codebook is left, so that two thirds of their weights meet nothing but zeros; here they are 3 x 1.
"""

import torch
from torch import Tensor, nn


class CellConvolutions(nn.Module):
    """Twice: convolution over frames and codebooks, LayerNorm of each cell, ReLU. ``(B, T, Q, D)``."""

    def __init__(self, width: int, inner: int, across: int):
        """
        Args:
            width: of the input.
            inner: of the output.
            across: size of the kernel over the codebooks.
        """
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(size, inner, (3, across), padding=(1, across // 2), bias=False)
            for size in (width, inner)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(inner) for _ in range(2))

    def forward(self, x: Tensor, outside: Tensor) -> Tensor:
        """``(B, T, Q, D)``; what is True in ``outside (B, T, 1, 1)`` is not seen."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x.masked_fill(outside, 0.0).permute(0, 3, 1, 2))
            x = norm(x.permute(0, 2, 3, 1)).relu()
        return x


class CodebookUNet(nn.Module):
    """Codes of a frame to one vector, and back to one for each codebook."""

    def __init__(self, width: int):
        super().__init__()
        self.enter = CellConvolutions(width, width, 3)
        self.middle = CellConvolutions(width, width, 1)
        self.leave = CellConvolutions(2 * width, width, 3)

    def down(self, x: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings ``(B, T, Q, D)`` to cells for :meth:`up` and ``(B, T, D)``; ``outside (B, T)``, bool."""
        cells = self.enter(x, outside[:, :, None, None])
        return cells, self.middle(cells.amax(2, keepdim=True), outside[:, :, None, None])[:, :, 0]

    def up(self, cells: Tensor, frames: Tensor, outside: Tensor) -> Tensor:
        """What :meth:`down` gave, and ``(B, T, D)`` made of its second part, to ``(B, T, Q, D)``."""
        joined = torch.cat([cells, frames[:, :, None].expand(cells.shape)], -1)
        return self.leave(joined, outside[:, :, None, None])
