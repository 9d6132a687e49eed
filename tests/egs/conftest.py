"""What the tests of the recipes share."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .checkout import Checkout
from .readers import follow_readme, write_corpus
from .warm_python import WarmPython

ENGINE = """
set -euo pipefail
shopt -s inherit_errexit
cd "$1"
log() { echo "$*"; }
die() { echo "engine: $*" >&2; exit 1; }
"""


@pytest.fixture(scope="session")
def warm_python() -> Iterator[tuple[Path]]:
    """For `Checkout`: a Python that starts fronts fast. For what runs recipes, not for what kills or installs them."""
    with WarmPython() as python:
        yield (python.bin,)


@pytest.fixture
def checkout(tmp_path, request) -> Checkout:
    """A fresh copy for each test; where that uses `warm_python`, fronts start fast."""
    warm = "warm_python" in request.fixturenames
    return Checkout(tmp_path / "checkout", request.getfixturevalue("warm_python") if warm else ())


@pytest.fixture
def engine_shell(repository, tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs lines as the engine would, in ``tmp_path``; ``$2`` is the folder of the engine's functions."""

    def run(lines: str, timeout: float = 60) -> subprocess.CompletedProcess:
        command = ["bash", "-c", ENGINE + lines, "engine", tmp_path, repository / "egs/TEMPLATE/functions"]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture(scope="session")
def readers(build_once) -> Path:
    """``egs/readers``, which followed the README through stage 0, in ``checkout``, and ``corpus``; copy it."""

    def build(root: Path) -> None:
        write_corpus(root / "corpus")
        follow_readme(Checkout(root / "checkout"), root / "corpus")

    return build_once("readers", build)
