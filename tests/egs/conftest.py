"""What the tests of the recipes share."""

from pathlib import Path

import pytest

from .checkout import Checkout
from .readers import follow_readme, write_corpus


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A fresh copy for each test."""
    return Checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def readers(build_once) -> Path:
    """``egs/readers``, which followed the README through stage 0, in ``checkout``, and ``corpus``; copy it."""

    def build(root: Path) -> None:
        write_corpus(root / "corpus")
        follow_readme(Checkout(root / "checkout"), root / "corpus")

    return build_once("readers", build)
