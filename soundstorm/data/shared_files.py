"""Files that another machine writes: a shared file system such as NFS may show them a minute late."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

MOST_SECONDS = 65.0  # what a machine remembers of a folder is good for 60 s at most, as NFS is set by default
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds


def wait_until(
    seen: Callable[[], bool],
    folders: Collection[str | Path],
    *,
    pause: Callable[[float], object] = time.sleep,
    seconds: float = MOST_SECONDS,
) -> bool:
    """Wait until something is seen in folders, which are looked at anew before each try but the first.

    Args:
        seen: whether it is there.
        folders: where this machine may remember what they had before.
        pause: waits so many seconds, or less.
        seconds: of all pauses.

    Returns:
        Whether it was seen.
    """
    deadline, length = time.monotonic() + seconds, FIRST_PAUSE
    while not seen():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        pause(min(length, left))
        length = min(2 * length, LONGEST_PAUSE)
        for folder in folders:
            _look_anew(folder)
    return True


def _look_anew(folder: str | Path) -> None:
    """A change by this machine has it ask the server again; so does Kaldi's slurm.pl."""
    with contextlib.suppress(OSError):
        file, name = tempfile.mkstemp(prefix=".look.", dir=folder)
        os.close(file)
        os.unlink(name)
    with contextlib.suppress(OSError):
        os.listdir(folder)
