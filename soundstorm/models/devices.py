"""Where networks work, and how their weights lie there."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch
from torch import nn

from soundstorm.data.errors import InputError

logger = logging.getLogger(__name__)
Network = TypeVar("Network", bound=nn.Module)


def choose_device(name: str) -> str:
    """``auto`` is the GPU where there is one.

    Raises:
        ValueError: a device that this machine does not have.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    known, seen = ["cpu"], ", since torch sees no GPU here"
    if torch.cuda.is_available():
        known, seen = ["cpu", "cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))], ""
    if name not in known and name != "cpu:0":  # as torch too calls it
        raise InputError(f"--device is {name}, expected auto or one of {', '.join(known)}{seen}")
    return name


def precision_on(device: str | torch.device, precision: str) -> str:
    """The precision that is asked for, or ``no`` (fp32) for bf16 on a CPU without bf16 products and for fp16 on any.

    Such a CPU emulates them: training is then tens of times slower than in fp32. Nothing scales a loss for fp16 there.
    """
    if torch.device(device).type == "cpu" and (precision == "fp16" or precision == "bf16" and not _has_bf16_products()):
        _warn_of_fp32(precision)
        return "no"
    return precision


@contextmanager
def fast_products() -> Iterator[None]:
    """Products of float32 matrices in TF32 on GPUs that have it; CPUs keep theirs.

    For models that sample. Not for tokenizers, see :func:`exact_products`.
    """
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, products.allow_tf32 or torch.cuda.is_available()
    try:
        yield
    finally:
        products.allow_tf32 = before


@contextmanager
def exact_products() -> Iterator[None]:
    """Products and convolutions of float32 in all their bits on GPUs, where torch takes TF32 for convolutions unless it
    is told otherwise, and for products where it is told so.

    For tokenizers: a code is the outcome of a comparison, and of rounded numbers another one.
    """
    settings = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [setting.allow_tf32 for setting in settings]
    for setting in settings:
        setting.allow_tf32 = False
    try:
        yield
    finally:
        for setting, allowed in zip(settings, before):
            setting.allow_tf32 = allowed


def seconds_at_a_time(device: torch.device) -> float:
    """Padded audio to decode in parallel in one batch.

    As much as keeps a GPU busy, or as little as stays in a CPU's caches, which is half as fast again as GPU-sized
    batches there.
    """
    return 30.0 if device.type == "cpu" else 240.0


@lru_cache
def _has_bf16_products() -> bool:
    known = getattr(torch.cpu, "get_capabilities", dict)()
    return not known or any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@lru_cache  # once a process
def _warn_of_fp32(precision: str) -> None:
    logger.warning("this CPU has no %s products: fp32 instead of %s, which is much faster here", precision, precision)


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
