"""Every message of the project that names an option, a script or a setting, found in its sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OPTION = re.compile(r"(?<![\w/-])--[a-z][a-z0-9.-]*[a-z0-9]")
SCRIPT = re.compile(r"(?<![\w./-])(?:utils|tools|egs|local|conf)/[\w./-]*\w")
FILES = "ark|csv|ctm|g|json|jsonl|model|safetensors|scp|tar|txt|yaml"  # what stands after the point of no setting
SETTING = re.compile(rf"(?<![\w./-])[a-z]\w*\.(?!(?:{FILES})\b)[a-z]\w*(?![\w/(-]|\.\w)")
HELPS = {"help", "usage", "description", "epilog"}


class Message(NamedTuple):
    """A text for people, with ``{}`` for what is put in."""

    path: str
    line: int
    text: str


def messages() -> Iterator[Message]:
    """All of them: texts of more than one word in Python, what `die` and `echo` say in shell."""
    for part in ("soundstorm", "utils", "tools", "egs"):
        for path in sorted((ROOT / part).rglob("*")):
            if path.is_symlink() or any(folder.is_symlink() for folder in path.parents):
                continue
            if path.suffix == ".py":
                yield from _of_python(path)
            elif path.suffix == ".sh":
                yield from _of_shell(path)


def _of_python(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            inside.add(id(node.body[0].value))
        elif isinstance(node, ast.keyword) and node.arg in HELPS:
            inside |= {id(child) for child in ast.walk(node.value)}
        elif isinstance(node, ast.JoinedStr):
            inside |= {id(child) for child in ast.walk(node) if child is not node}
    for node in ast.walk(tree):
        if id(node) not in inside and " " in (text := _text(node)):
            yield Message(str(path.relative_to(ROOT)), node.lineno, text)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join("{}" if isinstance(part, ast.FormattedValue) else part.value for part in node.values)
    return ""


def _of_shell(path: Path) -> Iterator[Message]:
    content = re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8")).replace("\\\n", "  ")
    for number, line in enumerate(content.splitlines(), start=1):
        for found in re.finditer(r'\b(?:die|echo|log) ("(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*)', line):
            words = re.sub(r'\$\{[^}]*\}|\$\([^)]*\)|\$[\w#*@]', "{}", found[1].replace('\\"', "'"))
            yield Message(str(path.relative_to(ROOT)), number, words.replace('"', ""))


TOKEN = re.compile(f"{OPTION.pattern}|{SCRIPT.pattern}|{SETTING.pattern}")
VERB = (
    "run|give|pass|set|choose|lower|take|use|see|by|specify|make|add|name|install|rename|resample|raise|drops|leaves|"
    "needs?|converted|with|or|instead|again|shows|copy|leave"
)
ADVICE = re.compile(rf"\b(?:{VERB})\b[^.;:]{{0,60}}?(?:{TOKEN.pattern})")
