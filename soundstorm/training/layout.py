"""How a network lies in memory: activations recomputed, weights sharded, blocks compiled.

All three work on the blocks of a network: the members of every ``nn.ModuleList`` called ``blocks``, be it a
Conformer's or a Transformer's. None of them changes the names of weights, so that checkpoints and exported
models are the same with and without.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint

from soundstorm.data.errors import InputError


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
        raise InputError(
            f"training.activation_checkpointing: {name} has no blocks to compute again; set it to false"
        )
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
    """Compile each block, alike as they are, instead of the network: so it takes seconds, not minutes."""
    for part in find_blocks(network) or [network]:
        part.compile()


def shard(network: nn.Module, device: torch.device) -> None:
    """Shard weights, gradients and the optimizer's state over all processes (FSDP2), block by block.

    Every process must have the same weights before.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (get_world_size(),))
    # A block's weights are gathered while it runs; those that are used before it runs are sharded alone.
    for module in list(network.modules()):
        for name in getattr(module, "used_outside", ()):
            fully_shard(getattr(module, name), mesh=mesh)
    for block in find_blocks(network):
        fully_shard(block, mesh=mesh)
    # By default the outermost weights stay gathered after a forward pass, for a backward pass right after.
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def is_sharded(network: nn.Module) -> bool:
    """Whether :func:`shard` has sharded its weights."""
    return hasattr(network, "set_requires_gradient_sync")


def local_shard(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full_tensor(tensor: Tensor) -> Tensor:
    """A tensor put together from all processes; every one of them must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather_tensors(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Full tensors, one after the other, for the process that writes them; the others ``keep`` nothing."""
    gathered = {}
    for name, tensor in tensors.items():
        value = full_tensor(tensor.detach())
        if keep:
            gathered[name] = value.cpu() if isinstance(tensor, DTensor) else value
    return gathered


def shard_like(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Full tensors, sharded as those of the same names in ``like`` are."""
    return {name: shard_tensor_like(value, like.get(name)) for name, value in tensors.items()}


def shard_tensor_like(tensor: Tensor, like: Tensor | None) -> Tensor:
    """One tensor of :func:`shard_like`."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
