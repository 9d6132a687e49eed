"""What all tests share: one thread per process (``pytest -n`` runs several), no network."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# Before anything imports numpy or torch: threads of several processes on few cores only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")
# What tests start says python3, which is to be this one, also where the environment is not activated.
os.environ["PATH"] = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Holds torch to one thread, also where it reads no variable, and lets what tests start be interrupted."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so is a shell's background job, with all its children
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # so is what nohup starts
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list) -> None:
    """Skips what needs a GPU or a Kaldi checkout where there is none, with the reason."""
    wanted = {mark for item in items for mark in ("gpu", "kaldi") if item.get_closest_marker(mark)}
    absent = {}
    if "gpu" in wanted:
        import torch

        if not torch.cuda.is_available():
            absent["gpu"] = pytest.mark.skip(reason="needs an NVIDIA GPU and a CUDA build of torch")
    if "kaldi" in wanted and not os.environ.get("KALDI_ROOT"):
        absent["kaldi"] = pytest.mark.skip(reason="needs a Kaldi checkout: KALDI_ROOT=... pytest -m kaldi")
    for item in items:
        for mark, skip in absent.items():
            if item.get_closest_marker(mark):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Has a folder filled by the first of pytest's processes that asks for its name; the others wait."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def build(name: str, fill: Callable[[Path], object]) -> Path:
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root / f"{name}.built").exists():
                (root / name).mkdir()
                fill(root / name)
                (root / f"{name}.built").touch()
        return root / name

    return build


@pytest.fixture(scope="session")
def recipe_inputs(build_once) -> Path:
    """A small valid recipe directory; copy it before you change it."""
    from tests.fuzzing.inputs import build_inputs

    return build_once("recipe_inputs", build_inputs)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return ROOT
