"""What the tests of the recipes share."""

import pytest

from .checkout import Checkout


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A fresh copy for each test."""
    return Checkout(tmp_path / "checkout")
