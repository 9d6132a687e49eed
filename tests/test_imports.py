"""The package's import rule, that everything imports, and that the fronts start without heavy libraries."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "soundstorm"
# Part of the package -> other parts it may import.
ALLOWED = {
    "data": set(),
    "models": set(),
    "tokens": {"data", "models"},
    "training": {"data", "models"},
    "decoding": {"data", "tokens", "models"},
    "scoring": {"data"},
}
HEAVY = ("torch", "transformers", "sklearn", "accelerate", "scipy", "matplotlib", "espnet2", "numba")
FILES = sorted(PACKAGE.rglob("*.py"))
FRONTS = sorted(
    path.stem for path in (PACKAGE / "bin").glob("*.py") if path.stem not in ("__init__", "common")
)


def module_name(path: Path) -> str:
    """``soundstorm/data/audio.py`` -> ``soundstorm.data.audio``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source: str, module: str, is_package: bool) -> set[str]:
    """Absolute names of all modules that a source imports, wherever in it, relative imports resolved."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join(base + ([node.module] if node.module else []))
            found.update(f"{prefix}.{alias.name}" for alias in node.names)
    return found


def forbidden_imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of a module that the rule forbids."""
    part = (module.split(".") + [""])[1]
    found = []
    for name in sorted(imported_modules(source, module, is_package)):
        pieces = name.split(".")
        if pieces[0] != "soundstorm" or len(pieces) < 2:
            continue
        target = pieces[1]
        if target == "bin" and part != "bin":
            found.append(name)
        elif part in ALLOWED and target in ALLOWED and target != part and target not in ALLOWED[part]:
            found.append(name)
    return found


def test_there_are_modules_and_fronts_to_look_at():
    assert len(FILES) > 20
    assert len(FRONTS) >= 10
    assert {path.parent.name for path in FILES} >= {*ALLOWED, "bin"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_keeps_the_import_rule(path):
    found = forbidden_imports(path.read_text(encoding="utf-8"), module_name(path), path.stem == "__init__")
    assert not found, f"{path.relative_to(ROOT)} imports {found}; see the import rule in ALLOWED"


@pytest.mark.parametrize(
    "source, module",
    [
        ("from soundstorm.models import masking", "soundstorm.data.dataset"),
        ("def f():\n    import soundstorm.training.trainer", "soundstorm.models.soundstorm"),
        ("from soundstorm import scoring", "soundstorm.data.audio"),
        ("from ..decoding import sampling", "soundstorm.training.trainer"),
        ("from soundstorm.bin.common import section", "soundstorm.scoring.report"),
    ],
)
def test_the_rule_finds_a_forbidden_import(source, module):
    assert forbidden_imports(source, module)


def test_the_rule_lets_an_allowed_import_pass():
    assert not forbidden_imports("from soundstorm.models import masking", "soundstorm.decoding.parallel")
    assert not forbidden_imports("from . import sampling", "soundstorm.decoding.parallel")
    assert not forbidden_imports("from soundstorm.scoring import report", "soundstorm.bin.report")


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
