"""Grouped residual quantization (HiFi-Codec, Yang et al., 2023, arXiv 2305.02765): equal parts of a latent,
each with a residual quantizer of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.codec.rvq import Quantized, ResidualVectorQuantizer, check_codes


class GroupedResidualVectorQuantizer(nn.Module):
    """G residual quantizers side by side, of Q codebooks in all.

    Codes are in the order of their stages, and within a stage in that of the groups: codebook ``s * G + g``
    is stage s of group g (:func:`soundstorm.data.codebook.levels_of_stage`).
    """

    def __init__(
        self, dim: int, num_levels: int, codebook_size: int, groups: int, *, seed: int = 0, **options
    ):
        """
        Args:
            dim: width of the latents, D, a multiple of G.
            num_levels: Q, a multiple of G.
            codebook_size: N.
            groups: G.
            seed: of the first group; the next has the next one.
            options: of each :class:`ResidualVectorQuantizer`.

        Raises:
            ValueError: the latents or the codebooks cannot be shared out equally.
        """
        super().__init__()
        if dim % groups or num_levels % groups:
            raise InputError(
                f"model.groups is {groups}, expected a divisor of the width of the latents, {dim}, and of "
                f"model.num_levels, {num_levels}"
            )
        self.num_levels, self.codebook_size, self.groups = num_levels, codebook_size, groups
        self.num_stages = num_levels // groups
        self.parts = nn.ModuleList(
            ResidualVectorQuantizer(
                dim // groups, self.num_stages, codebook_size, seed=seed + group, **options
            )
            for group in range(groups)
        )

    def forward(self, latents: Tensor, mask: Tensor | None = None, levels: Tensor | None = None) -> Quantized:
        """Quantize; in training also learn the codebooks. As :meth:`ResidualVectorQuantizer.forward`, where
        ``levels`` (B,) counts stages.
        """
        inputs = latents.chunk(self.groups, -1)
        results = [part(values, mask, levels) for part, values in zip(self.parts, inputs, strict=True)]
        return Quantized(
            torch.cat([result.latents for result in results], -1),
            torch.stack([result.codes for result in results], -1).flatten(-2),
            torch.stack([result.commitment for result in results]).mean(),
        )

    def decode(self, codes: Tensor) -> Tensor:
        """Latents (B, T, D) of codes (B, T, K); with K < Q, of the K / G coarsest stages.

        Raises:
            ValueError: codes of another codec.
        """
        check_codes(codes, self.num_levels, self.codebook_size, self.groups)
        of_groups = codes.unflatten(-1, (-1, self.groups)).unbind(-1)
        parts = zip(self.parts, of_groups, strict=True)
        return torch.cat([part.decode(values) for part, values in parts], -1)

    @property
    def codebooks(self) -> Tensor:
        """Vectors (Q, N, G * D'): each is zero outside its group, so that a frame's add up to its latent."""
        width = self.parts[0].codebooks.shape[-1]
        laid_out = [
            nn.functional.pad(part.codebooks, (group * width, (self.groups - 1 - group) * width))
            for group, part in enumerate(self.parts)
        ]
        return torch.stack(laid_out, 1).flatten(0, 1)

    @property
    def counts(self) -> Tensor:
        """Moving averages of the uses of each code (Q, N)."""
        return torch.stack([part.counts for part in self.parts], 1).flatten(0, 1)

    @property
    def batch_counts(self) -> Tensor | None:
        """Uses of each code in the latest training batch (Q, N), over all ranks; None before the first."""
        if self.parts[0].batch_counts is None:
            return None
        return torch.stack([part.batch_counts for part in self.parts], 1).flatten(0, 1)

    @property
    def num_updates(self) -> Tensor:
        """Training batches so far."""
        return self.parts[0].num_updates
