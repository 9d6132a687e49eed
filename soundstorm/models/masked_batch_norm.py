"""Batch normalisation that neither sees padding nor depends on how many processes share a batch."""

import torch
import torch.distributed.nn.functional as dist_nn
from torch import Tensor, nn

from soundstorm.models.collectives import is_distributed


class MaskedBatchNorm(nn.BatchNorm1d):
    """In place of ``BatchNorm1d``: means and variances of what is not padding, and zeros where padding is.

    ESPnet's convolutions and NVIDIA's know no lengths: padding takes part in their statistics, and after a
    normalisation is no longer zero, so that the ends of shorter utterances hear what is beyond them.
    """

    mask: Tensor | None = None  # (B, 1, T), 1 where there is something; None: everywhere

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same."""
        mask = (
            x.new_ones(1, 1, 1).expand(len(x), 1, x.shape[2]) if self.mask is None else self.mask.to(x.dtype)
        )
        if not self.training:
            return super().forward(x) * mask
        with torch.autocast(x.device.type, enabled=False):
            x, mask = x.float(), mask.float()
            totals = _over_processes(torch.cat([(x * mask).sum((0, 2)), mask.sum()[None]]))
            count = totals[-1].detach()
            mean = totals[:-1] / count
            centred = (x - mean[:, None]) * mask
            variance = _over_processes(centred.square().sum((0, 2))) / count
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
            scale = self.weight * torch.rsqrt(variance + self.eps)
            return (centred * scale[:, None] + self.bias[:, None]) * mask


def _over_processes(values: Tensor) -> Tensor:
    """Sums over processes, with gradients."""
    return dist_nn.all_reduce(values) if is_distributed() else values


def mask_norms(network: nn.Module) -> list[MaskedBatchNorm]:
    """Replace every new ``BatchNorm1d`` of a network; the replacements, whose masks are to be set."""
    found = []
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm1d):
            found.append(MaskedBatchNorm(child.num_features))
            setattr(network, name, found[-1])
        else:
            found += mask_norms(child)
    return found
