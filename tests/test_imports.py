"""The package's import rule, that everything imports, and that the fronts start without heavy libraries."""

import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from check_imports import (  # noqa: E402
    ALLOWED,
    PACKAGE,
    find_files,
    forbidden_imports,
    import_graph,
    module_name,
)

HEAVY = ("torch", "transformers", "sklearn", "accelerate", "scipy", "matplotlib", "espnet2", "numba")
FILES = find_files()
FRONTS = sorted(
    path.stem for path in (PACKAGE / "bin").glob("*.py") if path.stem not in ("__init__", "common")
)


def test_there_are_modules_and_fronts_to_look_at():
    assert len(FILES) > 20
    assert len(FRONTS) >= 10
    assert {path.parent.name for path in FILES} >= {*ALLOWED, "bin"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_keeps_the_import_rule(path):
    found = forbidden_imports(path.read_text(encoding="utf-8"), module_name(path), path.stem == "__init__")
    assert not found, f"{path.relative_to(ROOT)} imports {found}; see tools/check_imports.py"


@pytest.mark.parametrize(
    "source, module",
    [
        ("from soundstorm.models import masking", "soundstorm.data.datasets.aligned_tokens_dataset"),
        ("def f():\n    import soundstorm.training.trainer", "soundstorm.models.soundstorm"),
        ("from soundstorm import scoring", "soundstorm.data.audio"),
        ("from ..decoding import sampling", "soundstorm.training.trainer"),
        ("from soundstorm.bin.common import section", "soundstorm.scoring.report_content"),
        ("from soundstorm.training.trainer import train", "soundstorm.scoring.detection"),
        ("from soundstorm.decoding import parallel", "soundstorm.scoring.detection"),
    ],
)
def test_the_rule_finds_a_forbidden_import(source, module):
    assert forbidden_imports(source, module)


def test_the_rule_lets_an_allowed_import_pass():
    assert not forbidden_imports("from soundstorm.models import masking", "soundstorm.decoding.parallel")
    assert not forbidden_imports("from . import sampling", "soundstorm.decoding.parallel")
    assert not forbidden_imports("from soundstorm.scoring import report", "soundstorm.bin.report")
    assert not forbidden_imports("from soundstorm.tokens import semantic", "soundstorm.scoring.abx")


def test_the_graph_has_every_allowed_arrow_that_is_there_and_no_other():
    graph = import_graph(FILES)
    assert graph["decoding", "tokens"] > 0 and graph["bin", "decoding"] > 0
    assert all(importing == "bin" or imported in ALLOWED[importing] for importing, imported in graph)


def test_no_two_files_have_one_name():
    names = Counter(path.name for path in FILES if path.stem != "__init__")
    twice = sorted(str(path.relative_to(ROOT)) for path in FILES if names[path.name] > 1)
    assert not twice, f"{', '.join(twice)}: give each a name that says which it is"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports(path):
    importlib.import_module(module_name(path))


# Starts every front's parser in one fresh process and lists the heavy modules that came along.
PROBE = """
import importlib, io, contextlib, sys
for name in sys.argv[2:]:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            importlib.import_module(f"soundstorm.bin.{name}").main(["--help"])
        except SystemExit as end:
            assert not end.code, f"{name} --help: exit status {end.code}"
    assert "usage" in text.getvalue(), f"{name} --help printed no usage"
    heavy = [module for module in sys.argv[1].split(",") if module in sys.modules]
    assert not heavy, f"{name} --help imports {heavy}"
"""


@pytest.mark.skipif(not FRONTS, reason="no fronts")
def test_the_help_of_every_front_needs_no_heavy_library():
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, ",".join(HEAVY), *FRONTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert probe.returncode == 0, probe.stderr[-2000:]
