"""A pretend accelerator: what would fail or wait on a GPU shows on a CPU.

Tensors say that they are on the device ``pretend`` and are computed on the CPU. As on a GPU, tensors of the
CPU are refused beside them, but for scalars and where operations want them there, and a normalisation by weights
of another type; what would wait for the device is counted: numbers that Python asks for, shapes that depend on
values, copies between host and device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import torch
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _DummyPrivateUse1Hook,
    _setup_privateuseone_for_python_backend,
)

NAME = "pretend"
aten = torch.ops.aten
# The shape of the result, or what is computed, depends on values that only the device has.
VALUES_NEEDED = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim,
    aten.unique_consecutive, aten.equal, aten.bincount, aten.repeat_interleave, aten._ctc_loss,
}  # fmt: skip
# Operations that want some of their tensors on the CPU, or take them from there.
TAKE_CPU = {
    aten.copy_, aten._to_copy, aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_,
    aten._pack_padded_sequence, aten._ctc_loss, aten._ctc_loss_backward,
}  # fmt: skip
# Tensors that have to be of one type, which the CPU does not ask: what is normalised, weights, gradient.
OF_ONE_TYPE = {aten.native_layer_norm: (0, 2, 3), aten.native_layer_norm_backward: (0, 1, 5, 6)}
# Views by a bit of the tensor, which operations called from here do not look at: computed instead.
BY_A_BIT = {aten._conj: aten.conj_physical, aten._neg_view: aten.neg}
# What autocast computes in the lower and in full precision, as on a GPU.
LOWER_PRECISION = (
    "linear", "matmul", "mm", "mv", "bmm", "baddbmm", "addmm", "conv1d", "conv2d", "conv_transpose1d",
    "conv_transpose2d.input", "convolution", "einsum", "scaled_dot_product_attention",
)  # fmt: skip
FULL_PRECISION = (
    "softmax.int", "log_softmax.int", "layer_norm", "native_layer_norm", "group_norm", "exp", "log", "log1p",
    "pow.Tensor_Scalar", "rsqrt", "reciprocal", "sum", "sum.dim_IntList", "prod", "cumsum", "norm.Scalar",
    "norm.ScalarOpt_dim", "renorm", "logsumexp", "mse_loss", "l1_loss", "smooth_l1_loss", "nll_loss",
    "cosine_similarity", "cdist", "stft", "softplus", "binary_cross_entropy_with_logits",
)  # fmt: skip


class Pretend(torch.Tensor):
    """A tensor on the pretend accelerator."""

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> Pretend:
        """Around a tensor of the CPU, whose memory it keeps."""
        return torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(),
            dtype=values.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip

    def __init__(self, values: torch.Tensor):
        self.values_on_host = values

    def __repr__(self) -> str:
        return f"Pretend({self.values_on_host!r})"

    def tolist(self) -> list:
        """As of any tensor; torch leaves it out for those of other classes."""
        return self.cpu().tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Where no gradient is ever wanted, what is made of other operations comes as it was called.
        if func._can_decompose() and (result := func.decompose(*args, **kwargs)) is not NotImplemented:
            return result
        return compute(func, *args, **kwargs)


class Waits(Counter):
    """How often an operation waited for the device, by its name."""

    def of_values(self) -> int:
        """Those that give the host something: without copies to the device."""
        return self.total() - self["to the device"]


_counters: list[Waits] = []


def compute(func, *args, **kwargs):
    """One operation on the CPU, its results being where a GPU would have them."""
    flat, spec = tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, torch.Tensor)]
    packet, asked = func.overloadpacket, kwargs.get("device")
    inside = any(isinstance(value, Pretend) for value in tensors)
    outside = [value for value in tensors if not isinstance(value, Pretend)]
    wrapped = inside if asked is None else torch.device(asked).type == NAME
    if inside and packet not in TAKE_CPU:
        _refuse(func, [value for value in outside if value.ndim])
    if inside or wrapped:
        _refuse(func, [value for value in flat if isinstance(value, torch.Generator)])
    kinds = {args[i].dtype for i in OF_ONE_TYPE.get(packet, ()) if isinstance(args[i], Pretend)}
    if len(kinds) > 1:
        raise RuntimeError(f"{func}: expected tensors of one type, got {sorted(map(str, kinds))}")
    _count(packet, args, kwargs, inside, wrapped)
    hosts = {id(value.values_on_host): value for value in tensors if isinstance(value, Pretend)}
    if torch.Tag.inplace_view in func.tags:
        _change_shape(func, args, kwargs)
    args, kwargs = tree_map(
        lambda value: value.values_on_host if isinstance(value, Pretend) else value, (args, kwargs)
    )
    if asked is not None:
        kwargs |= {"device": "cpu"}
    kwargs.pop("pin_memory", None)

    def wrap(value):
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in hosts:  # in place
            return hosts[id(value)]
        return Pretend(value) if wrapped else value

    # Torch refuses views of ordinary tensors among those of inference, if Python has made them.
    with torch.inference_mode(False):
        return tree_map(wrap, BY_A_BIT.get(packet, func)(*args, **kwargs))


def _change_shape(func, args: tuple, kwargs: dict) -> None:
    """Of the tensor itself, as ``transpose_`` does; so does ``return_and_correct_aliasing`` of torch."""
    before = torch._C._meta_in_tls_dispatch_include()
    with no_dispatch():
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            func(*args, **kwargs)
        finally:
            torch._C._set_meta_in_tls_dispatch_include(before)


def _refuse(func, culprits: list) -> None:
    if culprits:
        shapes = [tuple(value.shape) if isinstance(value, torch.Tensor) else value for value in culprits]
        raise RuntimeError(f"{func}: expected all on the accelerator, but these are on the CPU: {shapes}")


def _count(packet, args: tuple, kwargs: dict, inside: bool, wrapped: bool) -> None:
    if packet in (aten.copy_, aten._to_copy):
        source, target = (args[1], args[0]) if packet is aten.copy_ else (args[0], wrapped)
        here = isinstance(source, Pretend)
        there = isinstance(target, Pretend) if packet is aten.copy_ else wrapped
        quiet = here == there or kwargs.get("non_blocking") or packet is aten.copy_ and args[2:] == (True,)
        name = None if quiet else "to the host" if here else "to the device"
    elif packet in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        kinds = {value.dtype for value in args[1] if value is not None} if inside else set()
        name = "boolean index" if kinds & {torch.bool, torch.uint8} else None
    else:
        name = packet.__name__ if inside and packet in VALUES_NEEDED else None
    if name:
        for counter in _counters:
            counter[name] += 1


class _Module(_DummyBackendModule):
    """What torch asks of a device."""

    def is_available(self) -> bool:
        return bool(_counters)

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        torch.set_rng_state(state)

    def synchronize(self, device: object = None) -> None:
        for counter in _counters:
            counter["synchronize"] += 1


class _Hook(_DummyPrivateUse1Hook):
    def is_available(self) -> bool:
        return bool(_counters)


_libraries: list[torch.library.Library] = []


def _install() -> None:
    """Once in a process; nothing else sees the device before or after."""
    if _libraries:
        return
    _setup_privateuseone_for_python_backend(rename=NAME, backend_module=_Module(), hook=_Hook())
    everything = torch.library.Library("_", "IMPL", "PrivateUse1")
    everything.fallback(compute)
    others = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    others.fallback(torch.library.fallthrough_kernel)
    autocast = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for name in LOWER_PRECISION:
        autocast.impl(name, _casting(name, lower=True))
    for name in FULL_PRECISION:
        autocast.impl(name, _casting(name, lower=False))
    _libraries.extend((everything, others, autocast))


def _casting(name: str, *, lower: bool):
    packet, _, overload = name.partition(".")
    func = getattr(getattr(aten, packet), overload or "default")
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def run(*args, **kwargs):
        dtype = torch.get_autocast_dtype(NAME) if lower else torch.float32

        def cast(value):
            fits = isinstance(value, Pretend) and value.dtype in (torch.float32, torch.bfloat16)
            return value.to(dtype) if fits else value

        with torch._C._ExcludeDispatchKeyGuard(key):
            args, kwargs = tree_map(cast, (args, kwargs))
            return func(*args, **kwargs)

    return run


@contextmanager
def pretending() -> Iterator[Waits]:
    """Make the device ``pretend`` available, and count what waits for it."""
    _install()
    counter = Waits()
    _counters.append(counter)
    with ExitStack() as stack:
        stack.callback(_counters.remove, counter)
        for name in ("tensor", "as_tensor"):
            construct = partial(_on_host_first, getattr(torch, name))
            stack.enter_context(patch.object(torch, name, construct))
        # Else gradients are computed in a thread of the device, which there is only if it was known before
        # the process first computed any.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        yield counter


def _on_host_first(construct, *args, device=None, **kwargs) -> torch.Tensor:
    """``torch.tensor`` makes one of the CPU and copies it."""
    if device is None or torch.device(device).type != NAME:
        return construct(*args, device=device, **kwargs)
    return construct(*args, **kwargs).to(device)
