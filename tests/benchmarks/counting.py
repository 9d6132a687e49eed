"""What a run takes beside time: operations, passes, memory, and which operations the time goes to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

# Kinds of operations, by words in their names; the first that fits counts.
KINDS = {
    "attention": ("attention",),
    "matrix products": ("mm", "linear", "matmul", "dot"),
    "convolution": ("conv", "fft"),
    "optimizer": ("adam", "foreach", "norm_except"),
    "normalisation": ("norm",),
    "softmax and choice": ("softmax", "argmax", "sort", "topk", "rand", "uniform", "log", "searchsorted", "cumsum"),
    "embedding": ("embedding", "index", "gather", "scatter"),
    "copies": ("copy", "cat", "fill", "zero", "clone", "contiguous"),
    "elementwise": ("mul", "add", "sub", "div", "silu", "sigmoid", "glu", "gelu", "where", "sum", "exp"),
}


def study(run: Callable[[], None], network: torch.nn.Module, device: str = "cpu") -> dict:
    """Count one run and profile another one."""
    passes = 0

    def count(*_) -> None:
        nonlocal passes
        passes += 1

    hook = network.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter:
        run()
    hook.remove()
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CUDA if device == "cuda" else activity.CPU]) as profile:
        run()
        synchronize(device)
    return {"passes": passes, "flops": counter.get_total_flops(), "shares": shares(profile.key_averages())}


def shares(averages) -> dict[str, float]:
    """Share of each kind in the time of all operations, largest first."""
    seconds: dict[str, float] = defaultdict(float)
    for event in averages:
        seconds[kind_of(event.key)] += event.self_cpu_time_total + getattr(event, "self_device_time_total", 0)
    total = sum(seconds.values()) or 1.0
    return {kind: value / total for kind, value in sorted(seconds.items(), key=lambda item: -item[1])}


def kind_of(name: str) -> str:
    """Kind of an operation such as ``aten::addmm``."""
    name = name.lower().rpartition("::")[2]
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def machine_rates(device: str = "cpu") -> dict[str, float]:
    """Best of several: matrix products of middling size (large on a GPU), and copying what no cache holds."""
    rates, scale = {}, 1 if device == "cpu" else 8
    for name, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        best = 0.0
        for rows, inner, columns in ((1024, 1024, 1024), (2048, 256, 1024), (512, 1024, 4096)):
            rows, inner, columns = (scale * size for size in (rows, inner, columns))
            left, right = (torch.randn(size, inner, device=device).to(dtype) for size in (rows, columns))
            taken = _fastest(lambda left=left, right=right: torch.nn.functional.linear(left, right), device)
            best = max(best, 2 * rows * inner * columns / taken)
        rates[name] = best
    source = torch.ones(scale * 32 * 1024 * 1024, device=device)
    target = torch.empty_like(source)
    rates["bandwidth"] = 2 * source.nbytes / _fastest(lambda: target.copy_(source), device)
    return rates | ({"name": torch.cuda.get_device_name()} if device == "cuda" else {})


def synchronize(device: str) -> None:
    """Wait for what a GPU has been given to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def _fastest(work: Callable[[], object], device: str, tries: int = 6) -> float:
    taken = []
    for _ in range(tries):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken)


def resident_bytes(device: str = "cpu") -> int:
    """Memory of this process now; on a GPU that of its tensors."""
    return torch.cuda.memory_allocated() if device == "cuda" else _status("VmRSS")


def peak_bytes(device: str = "cpu") -> int:
    """The most memory since :func:`forget_peak`."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")


def forget_peak(device: str = "cpu") -> None:
    """Start a new peak, where the system can (Linux)."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), 0)
