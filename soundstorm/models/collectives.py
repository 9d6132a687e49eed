"""What processes of a distributed training tell each other inside a network or a loss; nothing when alone."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from torch import Tensor


def is_distributed() -> bool:
    """Whether there are several processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Elementwise, without gradients."""
    if is_distributed():
        values = values.clone()
        dist.all_reduce(values)
    return values


def from_first_process(values: Tensor) -> Tensor:
    """Those of the first process, of the same shape."""
    if is_distributed():
        values = values.contiguous()
        dist.broadcast(values, src=0)
    return values


def gather_rows(rows: Tensor) -> tuple[list[Tensor], int]:
    """Rows ``(B, D)`` of every process, whose B may differ, with gradients; and which of them are ours."""
    if not is_distributed():
        return [rows], 0
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    counts = torch.cat(sizes).tolist()
    padded = dist_nn.all_gather(F.pad(rows, (0, 0, 0, max(counts) - len(rows))))
    return [part[:count] for part, count in zip(padded, counts, strict=True)], dist.get_rank()


def gather_in_order(rows: Tensor, sizes: Tensor) -> Tensor:
    """Rows ``(N, D)`` of all processes as one would have them that has the whole batch.

    Example i of a batch is dealt to process ``i % P`` (``data/sampler.py``).

    Args:
        rows: of all examples of this process, one after the other.
        sizes: ``(B,)`` int, rows of each example.
    """
    if not is_distributed():
        return rows
    (parts, _), (counts, _) = gather_rows(rows), gather_rows(sizes[:, None])
    dealt = [part.split(count[:, 0].tolist()) for part, count in zip(parts, counts, strict=True)]
    return torch.cat([examples[i] for i in range(len(dealt[0])) for examples in dealt if i < len(examples)])
