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


def study(run: Callable[[], None], network: torch.nn.Module) -> dict:
    """Count one run and profile another one."""
    passes = 0

    def count(*_) -> None:
        nonlocal passes
        passes += 1

    hook = network.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter:
        run()
    hook.remove()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    return {"passes": passes, "flops": counter.get_total_flops(), "shares": shares(profile.key_averages())}


def shares(averages) -> dict[str, float]:
    """Share of each kind in the time of all operations, largest first."""
    seconds: dict[str, float] = defaultdict(float)
    for event in averages:
        seconds[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values()) or 1.0
    return {kind: value / total for kind, value in sorted(seconds.items(), key=lambda item: -item[1])}


def kind_of(name: str) -> str:
    """Kind of an operation such as ``aten::addmm``."""
    name = name.lower().rpartition("::")[2]
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def machine_rates() -> dict[str, float]:
    """Best of several: matrix products of middling size, and copying what no cache holds."""
    rates = {}
    for name, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        best = 0.0
        for rows, inner, columns in ((1024, 1024, 1024), (2048, 256, 1024), (512, 1024, 4096)):
            left, right = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
            taken = _fastest(lambda left=left, right=right: torch.nn.functional.linear(left, right))
            best = max(best, 2 * rows * inner * columns / taken)
        rates[name] = best
    source = torch.ones(32 * 1024 * 1024)
    target = torch.empty_like(source)
    rates["bandwidth"] = 2 * source.nbytes / _fastest(lambda: target.copy_(source))
    return rates


def _fastest(work: Callable[[], object], tries: int = 6) -> float:
    taken = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def resident_bytes() -> int:
    """Memory of this process now."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most memory since :func:`forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Start a new peak, where the system can (Linux)."""
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
