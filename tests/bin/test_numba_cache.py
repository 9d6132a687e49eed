"""Where numba keeps what it has compiled."""

import os
from pathlib import Path

import pytest

from soundstorm.bin.common import provide_numba_cache


@pytest.fixture
def read_only(monkeypatch, tmp_path):
    """Only what lies in tmp_path can be written; root would be allowed everything."""
    pytest.importorskip("librosa")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # so that it is put back, whatever it becomes
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path).startswith(str(tmp_path)))


def test_a_home_that_can_be_written_is_numbas_business(read_only, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    provide_numba_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("home", ["/proc/none", "/usr"])
def test_without_any_place_there_is_a_private_one(read_only, monkeypatch, home):
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    provide_numba_cache()
    directory = Path(os.environ["NUMBA_CACHE_DIR"])
    assert directory.is_dir() and directory.stat().st_mode & 0o077 == 0


def test_the_users_choice_holds(read_only, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    provide_numba_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == "/mine"
