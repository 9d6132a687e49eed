"""What data must never bring about: a command run, a connection opened, a file touched outside the case's folder.

Python reports all of these to audit hooks, which no code of the product can go around.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

import audioread

ALLOWED_COMMANDS = ("git", "uname", "/sbin/ldconfig", "lscpu", "fc-list")  # of experiment.py, torch, matplotlib
CONNECTING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "shutil.rmtree")
UNPICKLING = ("pickle.find_class",)
MEMORY_ABOVE_START = 2 << 30  # bytes of addresses that a case may ask for


class Hang(BaseException):
    """A case took too long; no handler of the product may swallow it."""


class Guard:
    """Records forbidden acts while a case runs, and blocks the dangerous ones."""

    def __init__(self, cache: Path):
        """``cache``: a folder that libraries may write to at any time, where temporary files go too."""
        self.acts: list[str] = []
        self.cache = cache.resolve()
        self.root: Path | None = None  # of the case; None while no case runs
        audioread.available_backends()  # looks for ffmpeg once in a process, whatever is read
        sys.addaudithook(self._audit)

    def start(self, root: Path) -> None:
        """Watch; everything may be written below ``root`` only."""
        self.acts, self.root = [], root.resolve()
        tempfile.tempdir = str(self.cache)

    def stop(self) -> list[str]:
        """Acts since the start."""
        self.root = tempfile.tempdir = None
        return list(dict.fromkeys(self.acts))

    def _audit(self, event: str, arguments: tuple) -> None:
        if self.root is None:
            return
        if event in CONNECTING:
            self._forbid(f"network: {event} {arguments[1:]!r:.100}")
        elif event in UNPICKLING and not _called_by_numba():
            self._forbid(f"unpickled: {arguments!r:.100}")
        elif event in STARTING:
            command = arguments[0] if event == "subprocess.Popen" else repr(arguments)
            if os.fsdecode(command) not in ALLOWED_COMMANDS:
                self._forbid(f"command: {event} {arguments!r:.100}")
        elif event in CHANGING:
            self._check_place(event, arguments[0])
        elif event == "open" and isinstance(arguments[2], int):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                self._check_place("open for writing", arguments[0])

    def _check_place(self, act: str, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor
        name = os.fsdecode(path)
        place = Path(os.path.abspath(name))
        allowed = any(folder in (place, *place.parents) for folder in (self.root, self.cache))
        if not allowed and name != os.devnull and "__pycache__" not in name:
            self._forbid(f"outside: {act} {name:.100}")

    def _forbid(self, act: str) -> None:
        self.acts.append(act)
        raise PermissionError(f"the fuzzer forbids {act}")


def _called_by_numba() -> bool:
    """Numba copies its own types by pickling them; no data reach it."""
    frame = sys._getframe()
    while frame is not None and "/numba/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None


def limit_memory() -> None:
    """Let no case reserve much more memory than the process has now: what is larger fails at once."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_ABOVE_START
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


class TimeLimit:
    """Ends a block after so many seconds of this process's computing, or thirty times as many of waiting."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __enter__(self) -> None:
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, self._end)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)
        signal.setitimer(signal.ITIMER_REAL, 30 * self.seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _end(self, number: int, frame: object) -> None:
        raise Hang
