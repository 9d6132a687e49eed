#!/usr/bin/env python3
"""Show how far running jobs are, from what they log: at a terminal a line for each, else one line a minute.

    progress.py                    follows logs until its standard input ends, which names them in lines
                                   `<job range or nothing><tab><log>`, e.g. `JOB=1:4	exp/log/extract.JOB.log`;
                                   at once it says what a job finds not normal
    progress.py --running DIR ...  prints the logs below the directories that somebody writes, each with a tab
                                   and how far it is

Everything goes to standard error but the answer of --running. What it reads are the lines of utils/run.py
(how a job ended), of trainings (`train step 7/20 loss=1.5 (3 steps/s)`) and of `7 of 20 utterances`.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import select
import signal
import sys
import time

LOOK_SECONDS = 1.0
SPEAK_SECONDS = 60.0  # where nobody watches
RANGE = re.compile(r"(\w+)=(\d+)(?::(\d+))?")
STEP = re.compile(r"train step (\d+)/(\d+) (?:.*?\b(loss=\S+))?.*?\((\S+) steps/s")
UTTERANCES = re.compile(r"\b(\d+) of (\d+) utterances")
NOT_NORMAL = re.compile(r"WARNING: (not normal: .*)")
MOST_LINES = 8
BAR = 10
LEAST_LABEL = 14
CLEAR = "\r\033[K"


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"


class Log:
    """What one log says so far.

    Attributes:
        since: When its job was first seen to run, None before.
        ended: Whether its job has ended.
    """

    def __init__(self, path: str, *, anew: bool = False) -> None:
        """`anew`: the log has nothing of an earlier run; its job may have ended before we came all the same."""
        self.path, self.old = path, None
        self._restart()
        if not anew:
            self.read(0.0)
            self.old = self._identity() if self.ended else None  # until it changes
            self._restart()

    def _restart(self) -> None:
        self.since: float | None = None
        self.ended, self.share, self.words, self.host = False, None, "", ""
        self._position, self._rest = 0, b""

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def read(self, now: float) -> list[str]:
        """Read what is new; returns what is not normal in it."""
        identity = self._identity()
        if identity is None or identity == self.old:
            return []
        if identity[1] < self._position:
            self._restart()
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self._position)
                *lines, self._rest = (self._rest + stream.read()).split(b"\n")
                self._position = stream.tell()
        except OSError:
            return []
        self.since = now if self.since is None else self.since
        return [words for words in (self._take(line.decode(errors="replace")) for line in lines) if words]

    def _take(self, line: str) -> str:
        if found := STEP.search(line):
            step, steps, speed = int(found[1]), int(found[2]), float(found[4])
            loss = f" {found[3]}" if found[3] else ""
            left = f", {clock((steps - step) / speed)} left" if speed > 0 else ""
            self.share, self.words = (
                step / max(steps, 1),
                f"step {step}/{steps}{loss} ({found[4]} steps/s){left}",
            )
        elif found := UTTERANCES.search(line):
            self.share, self.words = int(found[1]) / max(int(found[2]), 1), found[0]
        elif found := NOT_NORMAL.search(line):
            return found[1]
        elif line.startswith("# Ended (code "):
            self.ended = True
        elif line.startswith("# Running on "):
            self.host = line.split()[-1]
        return ""

    def label(self) -> str:
        """Its name without what all have."""
        return self.path.replace("/log/", "/").removesuffix(".log")

    def state(self, now: float) -> str:
        """How far it is, in words."""
        return self.words or f"running for {clock(now - (now if self.since is None else self.since))}"


class Progress:
    """Follows logs and shows how far their jobs are."""

    def __init__(self, *, terminal: bool, speak_seconds: float = SPEAK_SECONDS) -> None:
        self.logs: dict[str, Log] = {}
        self.terminal, self.speak_seconds = terminal, speak_seconds
        self.spoken, self.drawn = time.monotonic(), 0

    def follow(self, line: str) -> None:
        """Add the logs that a line names."""
        jobs, _, log = line.rstrip("\n").partition("\t")
        found = RANGE.fullmatch(jobs)
        numbers = range(int(found[2]), int(found[3] or found[2]) + 1) if found else [0]
        for number in numbers:
            path = log.replace(found[1], str(number)) if found else log
            self.logs[path] = Log(path, anew=not found)  # that of a single job is removed before

    def look(self) -> None:
        """Read all logs and say what is new."""
        now = time.monotonic()
        found = [words for log in self.logs.values() for words in log.read(now)]
        self.logs = {path: log for path, log in self.logs.items() if not log.ended}
        if found:
            self.clear()
            self.write("".join(f"    {words}\n" for words in found))
        running = [log for log in self.logs.values() if log.since is not None]
        if self.terminal:
            self.draw(running, now)
        elif running and now - self.spoken >= self.speak_seconds:
            self.spoken = now
            shown = [f"{log.label()}: {log.state(now)}" for log in running[:MOST_LINES]]
            shown += [f"and {len(running) - MOST_LINES} more"] if len(running) > MOST_LINES else []
            self.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} (progress.py) INFO: {'; '.join(shown)}\n")

    def draw(self, running: list[Log], now: float) -> None:
        """A line for each job. The cursor stays where they begin: what others print takes their place."""
        try:
            columns = os.get_terminal_size(2).columns or 80
        except OSError:
            columns = 80
        lines = []
        for log in running[:MOST_LINES]:
            state, share = log.state(now), log.share
            done = 0 if share is None else round(BAR * min(share, 1.0))
            bar = " " * (BAR + 2) if share is None else f"[{'#' * done}{'.' * (BAR - done)}]"
            room = max(LEAST_LABEL, columns - 6 - len(bar) - len(state))
            label = log.label()
            label = label if len(label) <= room else ".." + label[2 - room :]
            lines.append(f"  {label} {bar} {state}"[: columns - 1])
        if len(running) > MOST_LINES:
            lines.append(f"  and {len(running) - MOST_LINES} more")
        more = [""] * (self.drawn - len(lines))  # lines of before
        self.write("\n".join(CLEAR + line for line in lines + more) + _up(len(lines) + len(more)))
        self.drawn = len(lines)

    def clear(self) -> None:
        """Take the lines away."""
        if self.terminal:
            self.write("\n".join([CLEAR] * max(self.drawn, 1)) + _up(self.drawn) + CLEAR)
            self.drawn = 0

    def write(self, text: str) -> None:
        """At once, so that little comes between."""
        try:
            os.write(2, text.encode())
        except OSError:
            sys.exit(0)  # nobody is there to see it


def _up(lines: int) -> str:
    return f"\033[{lines - 1}A\r" if lines > 1 else "\r" if lines else ""


def follow_until_end(progress: Progress) -> None:
    """Follow what standard input names until it ends, or until whoever started us has gone."""
    parent, pending, ended = os.getppid(), b"", False
    while not ended and os.getppid() == parent:
        if select.select([0], [], [], LOOK_SECONDS)[0]:
            data = os.read(0, 1 << 16)
            ended = not data
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                progress.follow(line.decode(errors="replace"))
        progress.look()


def written_logs(folders: list[str]) -> list[Log]:
    """Logs below the folders whose jobs have not ended, and which some process of this machine writes."""
    found = []
    for folder in folders:
        for directory, _, names in os.walk(folder):
            found += [os.path.join(directory, name) for name in names if name.endswith(".log")]
    logs = [log for log in map(Log, sorted(found)) if log.old is None]
    for log in logs:
        log.read(time.monotonic())
    here = set()
    for path in glob.glob("/proc/[0-9]*/fd/*") if logs else ():
        with contextlib.suppress(OSError):
            here.add(os.readlink(path))
    # What another machine runs cannot be seen from here.
    return [
        log for log in logs if os.path.realpath(log.path) in here or log.host not in ("", os.uname().nodename)
    ]


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--running":
        for log in written_logs(arguments[1:]):
            elsewhere = f", on {log.host}" if log.host != os.uname().nodename else ""
            print(f"{log.path}\t{log.words or 'running'}{elsewhere}")
        return 0
    if arguments:
        print(__doc__.strip())
        return 0 if arguments in (["--help"], ["-h"]) else 1
    progress = Progress(terminal=os.isatty(2))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us ends us
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        follow_until_end(progress)
    finally:
        progress.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
