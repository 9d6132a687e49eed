"""What the tests of the recipes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .checkout import Checkout
from .readers import follow_readme, write_corpus
from .warm_python import WarmPython


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


@pytest.fixture(scope="session")
def readers(build_once) -> Path:
    """``egs/readers``, which followed the README through stage 0, in ``checkout``, and ``corpus``; copy it."""

    def build(root: Path) -> None:
        write_corpus(root / "corpus")
        follow_readme(Checkout(root / "checkout"), root / "corpus")

    return build_once("readers", build)
