"""Residual vector quantizer with codebooks learned by moving averages (SoundStream, section III.C).

Everything here runs in float32 whatever the precision of the networks around it: a code is the outcome of a
comparison, and a comparison of rounded numbers is another codec.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.collectives import (
    from_first_process,
    gather_in_order,
    is_distributed,
    sum_over_processes,
)

KMEANS_ITERATIONS = 10  # on the first training batch


@dataclass
class Quantized:
    """Outcome of quantization."""

    latents: Tensor  # (B, T, D), sum of the codes' vectors; gradients pass straight to the input
    codes: Tensor  # (B, T, Q) int64
    commitment: (
        Tensor  # scalar: squared distance to the codes, mean over frames, levels in use and dimensions
    )


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index of the codebook row (N, D) nearest to each vector ``(..., D)``."""
    # |v - c|^2 = |v|^2 - 2 v.c + |c|^2, and |v|^2 is the same for all c.
    return (codebook.square().sum(-1) - 2 * vectors @ codebook.T).argmin(-1)


def kmeans(
    points: Tensor, num_clusters: int, iterations: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from a k-means++ start.

    Args:
        points: (M, D).
        num_clusters: N; may exceed M, then some centres coincide.
        iterations: rounds of assignment and averaging.
        generator: of the start, on the CPU.

    Returns:
        centres (N, D) and the number of points of each (N,).
    """
    centres = points[_spread(points, num_clusters, generator)].clone()
    counts = points.new_ones(num_clusters)
    for _ in range(iterations):
        counts, sums = _statistics(points, nearest(points, centres), num_clusters)
        filled = counts > 0
        centres[filled] = sums[filled] / counts[filled, None]
    return centres, counts


def _spread(points: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Indices of points, each drawn in proportion to its squared distance from those drawn before
    (k-means++).
    """
    chosen = torch.randint(len(points), (wanted,), generator=generator).to(points.device)
    distances = (points - points[chosen[0]]).square().sum(-1)
    draws = torch.rand(wanted, generator=generator).tolist()
    for index in range(1, wanted):
        cumulated = distances.double().cumsum(0)
        chosen[index] = torch.searchsorted(cumulated, draws[index] * cumulated[-1]).clamp(max=len(points) - 1)
        distances = torch.minimum(distances, (points - points[chosen[index]]).square().sum(-1))
    return chosen


def _choose(available: int, wanted: int, generator: torch.Generator) -> Tensor:
    if available >= wanted:
        return torch.randperm(available, generator=generator)[:wanted]
    return torch.randint(available, (wanted,), generator=generator)


def _statistics(vectors: Tensor, codes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    # Not by bincount, which waits for a GPU to know the largest code.
    counts = vectors.new_zeros(size).index_add_(0, codes, vectors.new_ones(len(codes)))
    sums = vectors.new_zeros(size, vectors.shape[1]).index_add_(0, codes, vectors)
    return counts, sums


def check_codes(codes: Tensor, num_levels: int, codebook_size: int, groups: int = 1) -> None:
    """
    Raises:
        ValueError: codes (B, T, K) that are not of the coarsest stages of Q levels of N codes, in groups.
    """
    low, high = torch.stack(codes.aminmax()).tolist()
    known = codes.shape[-1] <= num_levels and codes.shape[-1] % groups == 0
    if not known or low < 0 or high >= codebook_size:
        raise InputError(
            f"codes of the shape {tuple(codes.shape)} lie in [{low}, {high}]; "
            f"expected (B, T, {num_levels}) in [0, {codebook_size - 1}]: "
            "are these tokens of another codec?"
        )


class ResidualVectorQuantizer(nn.Module):
    """Q codebooks of N vectors; each quantizes what the ones before left over."""

    def __init__(
        self,
        dim: int,
        num_levels: int,
        codebook_size: int,
        *,
        code_dim: int = 0,
        decay: float = 0.99,
        dead_code_usage: float = 2.0,
        seed: int = 0,
    ):
        """
        Args:
            dim: width of the latents, D.
            num_levels: Q.
            codebook_size: N.
            code_dim: width of the codebook vectors, reached by a linear projection; 0: ``dim``, no
                projection.
            decay: of the moving averages of counts and sums.
            dead_code_usage: average count per step under which a code is replaced by a random frame of the
                batch. With fewer than ``4 * dead_code_usage`` frames per code in a batch, a quarter of the
                even share is
                the limit instead: a fixed limit would replace healthy codes of a small batch at every step.
            seed: of the k-means start and of the replacements.
        """
        super().__init__()
        width = code_dim or dim
        self.num_levels, self.codebook_size = num_levels, codebook_size
        self.num_stages = num_levels  # more codebooks than stages: GroupedResidualVectorQuantizer
        self.decay, self.dead_code_usage = decay, dead_code_usage
        self.seed = seed
        self.project_in = nn.Linear(dim, width) if code_dim else nn.Identity()
        self.project_out = nn.Linear(width, dim) if code_dim else nn.Identity()
        generator = torch.Generator().manual_seed(seed)
        codebooks = torch.randn(num_levels, codebook_size, width, generator=generator) / math.sqrt(width)
        self.register_buffer("codebooks", codebooks)  # (Q, N, D)
        self.register_buffer("counts", torch.ones(num_levels, codebook_size))  # moving averages
        self.register_buffer("sums", codebooks.clone())
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))  # 0: k-means is still to come
        self.batch_counts: Tensor | None = None  # (Q, N) uses in the latest training batch, over all ranks

    def forward(self, latents: Tensor, mask: Tensor | None = None, levels: Tensor | None = None) -> Quantized:
        """Quantize; in training also learn the codebooks.

        Args:
            latents: (B, T, D).
            mask: (B, T) bool, true for real frames; only those are learned from.
            levels: (B,) int, how many levels to keep of each example (quantizer dropout); all by default.
        """
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(self.project_in(latents.float()), mask, levels)

    def _quantize(self, inputs: Tensor, mask: Tensor | None, levels: Tensor | None) -> Quantized:
        if mask is None:
            mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        if levels is None:
            levels = torch.full((len(inputs),), self.num_levels, device=inputs.device)
        residual, total = inputs, torch.zeros_like(inputs)
        codes, seen = [], []
        if self.training:  # what has to be known on the host: two waits for the device in all
            real, updates = mask.flatten().nonzero()[:, 0], int(self.num_updates)
        distance, weight = inputs.new_zeros(()), inputs.new_zeros(())
        for level in range(self.num_levels):
            frames = residual.detach().flatten(0, 1)[real] if self.training else None
            if self.training and updates == 0:
                # Before the codes are chosen, so that the first batch already meets the k-means codebook.
                self._start(level, frames, mask.sum(1))
            chosen = nearest(residual.detach(), self.codebooks[level])  # (B, T)
            vectors = self.codebooks[level][chosen]  # (B, T, D)
            if self.training:
                seen.append((frames, chosen.flatten()[real]))
            kept = (mask & (level < levels)[:, None]).float()  # (B, T)
            distance = distance + ((residual - vectors).square().mean(-1) * kept).sum()
            weight = weight + kept.sum()
            total = total + vectors * (level < levels)[:, None, None]
            residual = residual - vectors
            codes.append(chosen)
        if self.training:
            self.batch_counts = self._learn(seen, mask.sum(1), updates)
            self.num_updates += 1
        if is_distributed():  # the mean over all processes, as this one's share of a sum over examples
            size = weight.new_tensor(len(inputs))
            weight, examples = sum_over_processes(torch.stack([weight, size])).unbind()
            distance = distance * (examples / size)
        straight = inputs + (total - inputs).detach()
        return Quantized(self.project_out(straight), torch.stack(codes, -1), distance / weight.clamp(min=1))

    def decode(self, codes: Tensor) -> Tensor:
        """Latents (B, T, D) of codes (B, T, K); with K < Q, of the K coarsest levels."""
        check_codes(codes, self.num_levels, self.codebook_size)
        with torch.autocast(self.codebooks.device.type, enabled=False):
            total = sum(self.codebooks[level][codes[..., level]] for level in range(codes.shape[-1]))
            return self.project_out(total)

    def _generator(self, updates: int, level: int) -> torch.Generator:
        # From the number of updates, which is saved with the weights: a resumed run draws what the other
        # would have.
        return torch.Generator().manual_seed(hash((self.seed, updates, level)) & 0x7FFFFFFF)

    @torch.no_grad()
    def _start(self, level: int, frames: Tensor, sizes: Tensor) -> None:
        frames = gather_in_order(frames, sizes)
        centres, counts = kmeans(frames, self.codebook_size, KMEANS_ITERATIONS, self._generator(0, level))
        # On GPUs sums of the same numbers differ in the last bit, and the codebook must be everyone's.
        self.codebooks[level] = from_first_process(centres)
        self.counts[level] = from_first_process(counts.clamp(min=1))
        self.sums[level] = self.codebooks[level] * self.counts[level][:, None]

    @torch.no_grad()
    def _learn(self, seen: list[tuple[Tensor, Tensor]], sizes: Tensor, updates: int) -> Tensor:
        """Moving averages of counts and sums over all ranks, and replacement of dead codes.

        Args:
            seen: of each level, the frames that it quantized ``(M, D)`` and their codes ``(M,)``.
            sizes: ``(B,)`` int, frames of each example.
            updates: steps before this one.

        Returns:
            uses of each code in this batch ``(Q, N)``.
        """
        both = zip(*(_statistics(*level, self.codebook_size) for level in seen), strict=True)
        counts, sums = (sum_over_processes(torch.stack(values)) for values in both)
        frames_of_all = float(counts[0].sum()) if is_distributed() else len(seen[0][0])
        limit = min(self.dead_code_usage, 0.25 * frames_of_all / self.codebook_size)
        for level in range(self.num_levels):
            self.counts[level].lerp_(counts[level], 1 - self.decay)
            self.sums[level].lerp_(sums[level], 1 - self.decay)
        dead = self.counts < limit
        for level, number in enumerate(dead.sum(1).tolist()):
            if number:
                # Counts are the same on every rank, so all of them come here together.
                frames, places = gather_in_order(seen[level][0], sizes), dead[level].nonzero()[:, 0]
                chosen = _choose(len(frames), number, self._generator(updates, level)).to(frames.device)
                self.sums[level, places] = from_first_process(frames[chosen]) * limit
                self.counts[level, places] = limit
            self.codebooks[level] = self.sums[level] / self.counts[level].clamp(min=1e-8)[:, None]
        return counts
