"""Where networks work, and how their weights lie there."""

from typing import TypeVar

import torch
from torch import nn

from soundstorm.data.errors import InputError

Network = TypeVar("Network", bound=nn.Module)


def choose_device(name: str) -> str:
    """``auto`` is the GPU where there is one.

    Raises:
        ValueError: a device that this machine does not have.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device is {name}, but torch sees no GPU here; use cpu or auto")
    return name


@torch.no_grad()
def ready_for_single_steps(network: Network, device: str | torch.device) -> Network:
    """A network for autoregressive steps, on its device and in evaluation mode.

    On a CPU, weights of layers with at least as many outputs as inputs are stored column-major: products of
    one or a few vectors with them then take half to nine tenths of the time (tests/benchmarks/RESULTS.md).
    Shapes and values are unchanged.
    """
    network = network.to(device).eval()
    for layer in network.modules() if torch.device(device).type == "cpu" else ():
        if isinstance(layer, nn.Linear) and layer.out_features >= layer.in_features:
            layer.weight.data = layer.weight.data.t().contiguous().t()
    return network
