"""Embeddings that begin with the geometry of the codec's codebooks."""

import torch
from torch import Tensor


def unit_rows(codebooks: Tensor, width: int) -> Tensor:
    """Codebooks ``(Q, N, D')`` turned into a width, centred, each level as loud as the others: ``(Q, N, width)``."""
    dim = codebooks.shape[-1]
    vectors = codebooks.float() - codebooks.float().mean(1, keepdim=True)
    if dim != width:  # a random rotation into or out of the width keeps distances as well as any
        square = torch.randn(max(dim, width), max(dim, width), generator=torch.Generator().manual_seed(0))
        vectors = vectors @ torch.linalg.qr(square)[0][:dim, :width].to(vectors.device)
    return vectors / vectors.square().mean((1, 2), keepdim=True).sqrt()
