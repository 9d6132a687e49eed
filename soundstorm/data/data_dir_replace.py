"""Replacing the files of a data directory by name: old ones stay in `.backup`, all others are left alone."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from soundstorm.data.data_dir import KNOWN_FILES, PathLike, whole_file
from soundstorm.data.errors import InputError

BACKUP, STAGING = ".backup", ".staging.tmp"
KEY_FILE = "utt2spk"  # without it nothing takes a directory for a data directory
KNOWN_NAMES = frozenset(name for known in KNOWN_FILES for name in (known.name, known.sidecar) if name)


@contextmanager
def staged(dest: PathLike, stale: Collection[str] = KNOWN_NAMES) -> Iterator[Path]:
    """Where to write files of a data directory that should change as a whole or not at all.

    When all has gone well they are moved to the directory. What they replace is copied to `.backup` before,
    unless all of it is the same, and so are stale files, which are then removed. Nothing else in it is
    touched: it may hold recordings and notes.

    Args:
        dest: The directory; made where there is none.
        stale: Files that belong to what is replaced.

    Yields:
        A folder in it.

    Raises:
        ValueError: A name that is to be written is that of a directory; nothing was touched.
    """
    dest = Path(dest)
    staging, is_new = dest / STAGING, not dest.exists()
    dest.mkdir(parents=True, exist_ok=True)
    _clear(staging)  # of a killed process
    staging.mkdir()
    try:
        yield staging
        _install(staging, dest, stale)
    finally:
        _clear(staging)
        if is_new:
            with suppress(OSError):  # it has got files
                dest.rmdir()


def _clear(staging: Path) -> None:
    """Remove the folder and the files in it; a directory in it is none of ours, and refused by its name."""
    if staging.is_dir():
        for path in staging.iterdir():
            path.unlink()
        staging.rmdir()


def _install(staging: Path, dest: Path, stale: Collection[str]) -> None:
    names, backup = sorted(path.name for path in staging.iterdir()), dest / BACKUP
    old = [name for name in sorted({*names, *stale}) if os.path.lexists(dest / name)]
    for path in [dest / name for name in (*names, *old)] + [backup / name for name in old]:
        if path.is_dir():
            raise InputError(f"{path} is a directory, where a file of that name belongs; move it away")
    kept = [name for name in old if (dest / name).exists()]  # a link to nowhere does not
    if any(name not in names or not filecmp.cmp(dest / name, staging / name, shallow=False) for name in kept):
        backup.mkdir(exist_ok=True)
        for name in kept:
            with whole_file(backup / name) as temporary:
                shutil.copy2(dest / name, temporary)
    gone = [name for name in old if name in stale and (name not in names or name == KEY_FILE)]
    for name in sorted(gone, key=lambda name: name != KEY_FILE):
        (dest / name).unlink()
    # The key file last: what is cut short is no data directory.
    for name in sorted(names, key=lambda name: name == KEY_FILE):
        os.replace(staging / name, dest / name)
