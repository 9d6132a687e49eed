"""How a network lies in memory: activations computed again, weights shared among processes, blocks compiled.

All three work on the blocks of a network: the members of every ``nn.ModuleList`` called ``blocks``, be it a Conformer's
or a Transformer's. None of them changes the names of weights, so that checkpoints and exported models are the same with
and without.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """The repeated blocks of a network, in order; a block inside another one is part of that."""
    lists = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] == "blocks"
    }
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    return [block for name in outer for block in lists[name]]


def recompute_activations(network: nn.Module) -> None:
    """Keep only what enters each block, and compute the rest again for its gradient.

    Dropout is the same both times, so that gradients are those of a network that keeps everything.

    Raises:
        ValueError: the network has no blocks.
    """
    blocks = find_blocks(network)
    if not blocks:
        name = type(network).__name__
        raise ValueError(f"training.activation_checkpointing: {name} has no blocks to compute again; set it to false")
    for block in blocks:
        block.forward = _Recomputed(block.forward)


class _Recomputed:
    """A block's ``forward`` that forgets what it has computed."""

    def __init__(self, forward):
        self.forward = forward

    def __call__(self, *inputs, **named):
        if not torch.is_grad_enabled():
            return self.forward(*inputs, **named)
        return checkpoint(self.forward, *inputs, use_reentrant=False, **named)


def compile_network(network: nn.Module) -> None:
    """Compile each block, alike as they are, instead of the whole: so it takes seconds, not minutes."""
    for part in find_blocks(network) or [network]:
        part.compile()


def shard(network: nn.Module, device: torch.device) -> None:
    """Share weights, gradients and the optimizer's state among all processes (FSDP2), block by block.

    Every process must have the same weights before.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (get_world_size(),))
    # A block's weights are together while it runs; those that are used before it runs are shared on their own.
    for module in list(network.modules()):
        for name in getattr(module, "used_outside", ()):
            fully_shard(getattr(module, name), mesh=mesh)
    for block in find_blocks(network):
        fully_shard(block, mesh=mesh)
    # By default the outermost weights stay whole after a forward pass, as if a backward pass followed at once.
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def is_sharded(network: nn.Module) -> bool:
    """Whether :func:`shard` has shared its weights."""
    return hasattr(network, "set_requires_gradient_sync")


def local(tensor: Tensor) -> Tensor:
    """This process' share of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from all processes; every one of them must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors, one after the other, for the process that writes them; the others ``keep`` nothing."""
    gathered = {}
    for name, tensor in tensors.items():
        value = whole(tensor.detach())
        if keep:
            gathered[name] = value.cpu() if isinstance(tensor, DTensor) else value
    return gathered


def share(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors as those of the same names in ``like`` are: shares of them where those are shares."""
    return {name: share_one(value, like.get(name)) for name, value in tensors.items()}


def share_one(tensor: Tensor, like: Tensor | None) -> Tensor:
    """One tensor of :func:`share`."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
