"""What was checked before: a data directory that is as it was then is not read again at every start."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soundstorm.data import data_dir, data_dir_check, data_dir_values
from soundstorm.data.data_dir_check import Summary, validate_data_dir
from soundstorm.data.errors import InputError
from soundstorm.data.records import digest_of, make_record, read_json

RECORD = ".validated.json"
SETTLED_NS = 2_000_000_000  # a file changed later than so long before the check may change again unseen


def validate_changed(path: data_dir.PathLike, **options: Any) -> Summary:
    """The same as :func:`validate_data_dir`, without reading tables that were found in order before.

    A table is the same if its size and times are, or else if its digest is; with any other one, other options
    or another version of the rules everything is checked again.

    Raises:
        FileNotFoundError, DataDirError: as when it is checked.
    """
    root, now = Path(path), time.time_ns()
    names = sorted({*data_dir.KNOWN, *options.get("require", ())})
    stats = {name: _stat(root / name) for name in names if (root / name).is_file()}
    checked = {"rules": _rules(), "options": dict(sorted(options.items()))}
    with suppress(OSError, InputError, KeyError, TypeError, AttributeError):
        known = read_json(root / RECORD, "")
        if {name: known[name] for name in checked} == checked and known["files"].keys() == stats.keys():
            settled = known["time"] - SETTLED_NS
            unsure = [n for n, s in stats.items() if known["files"][n]["stat"] != s or max(s[1:]) > settled]
            if all(digest_of(root / name) == known["files"][name]["digest"] for name in unsure):
                values = known["summary"] | {"warnings": tuple(known["summary"]["warnings"])}
                return make_record(Summary, values, str(root / RECORD))
    files = {name: {"stat": stat, "digest": digest_of(root / name)} for name, stat in stats.items()}
    summary = validate_data_dir(path, **options)
    if all(_stat(root / name) == stat for name, stat in stats.items()):  # nobody has written meanwhile
        _write(root, {"time": now, **checked, "files": files, "summary": asdict(summary)})
    return summary


def _stat(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _rules() -> str:
    """A digest of the modules that say what is in order."""
    files = [Path(module.__file__) for module in (data_dir, data_dir_check, data_dir_values)]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=16).hexdigest()


def _write(root: Path, record: dict) -> None:
    with suppress(OSError):  # somebody else's directory: it is checked at every start
        if os.access(root, os.W_OK) and not os.environ.get("SOUNDSTORM_READ_ONLY"):  # ./run.sh --status
            data_dir.write_text(root / RECORD, json.dumps(record, indent=1) + "\n")
