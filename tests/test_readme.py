"""Every file and test that tests/README.md and CONTRIBUTING.md name exists."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGES = (TESTS / "README.md", TESTS.parent / ".github/CONTRIBUTING.md")
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_every_file_that_the_readme_names_is_there():
    named = set(re.findall(r"`(tests/[\w/]+(?:\.\w+)?)", README))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (TESTS.parent / name).exists()] == []


def test_every_test_that_the_readme_names_is_there():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    named = set(re.findall(r"(?:`|::)(test_\w+)(?=[`\[])", README))
    assert len(named) > 20
    assert sorted(named - defined) == []


def test_a_test_that_is_named_with_its_file_is_in_it():
    pairs = re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", README)
    assert len(pairs) > 15
    for file, name in pairs:
        assert f"def {name}(" in (TESTS.parent / file).read_text(encoding="utf-8"), f"{file}::{name}"
