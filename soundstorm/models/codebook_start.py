"""Embeddings that begin with the geometry of the codec's codebooks."""

import torch
from torch import Tensor

from soundstorm.data.errors import InputError

LEAST_SPREAD = 1e-5  # of a level's vectors around their mean, in shares of their length: below is rounding


def unit_rows(codebooks: Tensor, width: int) -> Tensor:
    """Codebooks ``(Q, N, D')`` turned into a width, centred, each level equally loud: ``(Q, N, width)``.

    Raises:
        ValueError: all vectors of a level are equal or not finite: its codebook has collapsed.
    """
    dim = codebooks.shape[-1]
    vectors = codebooks.float() - codebooks.float().mean(1, keepdim=True)
    spread, length = (v.double().square().mean((1, 2)).sqrt() for v in (vectors, codebooks))
    constant = torch.nonzero(~(spread > LEAST_SPREAD * length))[:, 0].tolist()
    if constant:
        others = f" (and of {len(constant) - 1} more levels)" if len(constant) > 1 else ""
        raise InputError(
            f"all {codebooks.shape[1]} vectors of the codec's codebook of level {constant[0] + 1} are alike"
            f"{others}: it has collapsed, or was trained for a few steps only; train it for longer, or set "
            "init.codebooks to false"
        )
    if dim != width:  # a random rotation into or out of the width keeps distances as well as any
        square = torch.randn(max(dim, width), max(dim, width), generator=torch.Generator().manual_seed(0))
        vectors = vectors @ torch.linalg.qr(square)[0][:dim, :width].to(vectors.device)
    return vectors / vectors.square().mean((1, 2), keepdim=True).sqrt()
