"""Are two runs' files the same, apart from what tells the time?"""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

# Not compared, and why.
EXCLUDED = {
    "*/log/*": "logs have dates and seconds, and say what happened to the killed run",
    "*.log": "the same, beside scores",
    "*/tensorboard/*": "time stamps in the events, host and process in their names",
    "*/timing.json": "seconds that decoding took",
    "*/timing.tsv": "seconds that stages took; a stage that ran in pieces has several lines or lacks one",
    "*/figures/*_runtime.png": "bars of seconds",
    "*/.validated.json": "times of the tables that were checked",
    "*/.backup/*": "files before utils/fix_data_dir.sh sorted them; a second run finds more of them",
}
# Compared without these fields, and why.
TIMES = {
    "exp/*/score/*/*.json": (
        {"runtime", "inputs"},
        "seconds of decoding, and a digest of the times of the files that were scored",
    ),
    "exp/report/report.json": (
        {"runtime", "seconds", "facts", "inputs"},
        "seconds, date, commit, and a digest of the score files with their times",
    ),
}
RESULTS = "RESULTS.md without date, commit, wall time and the table of real-time factors"
CHECKPOINTS = (
    "of a training's checkpoints the last: a signal saves one out of turn, which is kept instead of an earlier one"
)
# Files that at any time are whole or not there: what they were before the stage, or what they are after it.
WHOLE = (".ark", ".scp", ".safetensors", ".wav", ".json", ".yaml", ".png", ".html", ".flac")

# Of the same kinds, but a stage removes them when it is done: compared with nothing, they are to be readable.
PASSING = "*/features/part*.safetensors"


def read_tree(root: Path) -> dict[str, bytes]:
    """Path below ``root`` to what is compared of the file."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return {name: content(name, path.read_bytes()) for name, path in names.items() if not is_excluded(name)}


def is_excluded(name: str) -> bool:
    return any(fnmatch(f"/{name}", pattern) for pattern in EXCLUDED)


def content(name: str, data: bytes) -> bytes:
    """What is compared of a file: all but times."""
    for pattern, (fields, _) in TIMES.items():
        if fnmatch(name, pattern):
            return json.dumps(_without(json.loads(data), fields)).encode()
    if name.endswith("RESULTS.md"):
        data = re.sub(rb"^- (commit|date|wall time): .*\n", b"", data, flags=re.MULTILINE)
        return re.sub(rb"^\| Real-time factor .*\n(\|.*\n)*", b"", data, flags=re.MULTILINE)
    return data


def _without(value: object, fields: set[str]) -> object:
    if isinstance(value, dict):
        return {key: _without(inner, fields) for key, inner in value.items() if key not in fields}
    return [_without(inner, fields) for inner in value] if isinstance(value, list) else value


def differences(reference: dict[str, bytes], root: Path) -> list[str]:
    """What is missing, too much (such as a temporary file) or different."""
    found, problems = read_tree(root), []
    for name in sorted(set(reference) | set(found)):
        if _checkpoint(name) and _checkpoint(name) != _last_checkpoint(name, reference):
            continue
        if name not in found:
            problems.append(f"{name} is missing")
        elif name not in reference:
            problems.append(f"{name} is left over")
        elif found[name] != reference[name]:
            problems.append(f"{name} is different")
    return problems


def _checkpoint(name: str) -> str | None:
    """The complete checkpoint that a file belongs to; a temporary one is none."""
    match = re.match(r".*/checkpoints/step-\d{8}/", name)
    return match[0] if match else None


def _last_checkpoint(name: str, reference: dict[str, bytes]) -> str:
    folder = name.split("/checkpoints/")[0] + "/checkpoints/"
    return max((_checkpoint(other) or "" for other in reference if other.startswith(folder)), default="")


def partial_files(before: dict[str, bytes], reference: dict[str, bytes], root: Path) -> list[str]:
    """Files of a killed run that have their final name but not the content that goes with it."""
    problems = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        # data/all is local/data.sh's own, which makes it anew each time; names with a dot in front are temporary.
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts) or name.startswith("data/all/")
        if not path.is_file() or path.suffix not in WHOLE or hidden or is_excluded(name):
            continue
        if _checkpoint(name) and name not in reference:
            continue  # out of turn
        try:
            if fnmatch(name, PASSING):
                whole = bool(load(path.read_bytes()))
            else:
                whole = content(name, path.read_bytes()) in (before.get(name), reference.get(name))
        except (ValueError, SafetensorError):
            whole = False  # cut
        if not whole:
            problems.append(f"{name} has its name before it is whole")
    return problems
