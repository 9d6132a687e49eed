#!/usr/bin/env python3
"""The import rule of the package: which part may import which others.

usage: tools/check_imports.py

Prints every import that the rule forbids and fails if there is one; otherwise prints the graph of the parts,
each arrow with the number of imports behind it. The parts follow the way of the data, so that what comes
early can be read, tested and used without what comes late.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "soundstorm"
# Part of the package -> other parts it may import. `bin` may import all of them, and none of them `bin`.
ALLOWED = {
    "data": set(),
    "models": {"data"},
    "tokens": {"data", "models"},
    "training": {"data", "models"},
    "decoding": {"data", "tokens", "models"},
    "scoring": {"data", "tokens", "models"},
    "sharing": {"data", "tokens", "models", "decoding", "scoring"},
    "serving": {"data", "tokens", "models", "decoding", "scoring", "sharing"},
    "timing": {"data", "tokens", "models", "decoding", "scoring"},
}


def find_files() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


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


def import_graph(files: list[Path]) -> Counter[tuple[str, str]]:
    """Arrows (importing part, imported part) with the number of pairs of modules behind each."""
    pairs = set()
    for path in files:
        module = module_name(path)
        for name in imported_modules(path.read_text(encoding="utf-8"), module, path.stem == "__init__"):
            pairs.add((module, ".".join(name.split(".")[:3])))
    arrows: Counter[tuple[str, str]] = Counter()
    for module, name in pairs:
        (_, part, *_), (package, target, *_) = (*module.split("."), ""), (*name.split("."), "")
        if package == "soundstorm" and part and target and target != part:  # the package itself is only a door
            arrows[part, target] += 1
    return arrows


def main() -> int:
    """Check the whole package; 1 if it breaks the rule."""
    files, count = find_files(), 0
    if not files:
        print(f"check_imports.py: found no module in {PACKAGE}, which cannot be", file=sys.stderr)
        return 1
    for path in files:
        source = path.read_text(encoding="utf-8")
        found = forbidden_imports(source, module_name(path), path.stem == "__init__")
        for name in found:
            part = path.relative_to(PACKAGE).parts[0]
            allowed = ", ".join(sorted(ALLOWED.get(part, ()))) or "nothing else of the package"
            print(f"{path.relative_to(ROOT)}: imports {name}; {part} may import: {allowed}", file=sys.stderr)
        count += len(found)
    if count:
        return 1
    graph = import_graph(files)
    for part in sorted({importing for importing, _ in graph}):
        targets = (f"{to} {count}" for (importing, to), count in sorted(graph.items()) if importing == part)
        print(f"{part} -> {', '.join(targets)}")
    print(
        f"check_imports.py: the import rule holds in {len(files)} modules; "
        f"{len(graph)} arrows between parts, {graph.total()} imports"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
