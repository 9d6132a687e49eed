"""Jobs as the launchers run them: one command with its log, several side by side, none left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import launcher
from devices import Slot

# From SIGTERM to SIGKILL: a large training's step and checkpoint. SECONDS_TO_SAVE of soundstorm/training/batches.py
# and of egs/TEMPLATE/functions/interrupt.sh are the same.
KILL_AFTER_SECONDS = 300
TELL_AFTER_SECONDS = 2.0  # that something is waited for
DEVICE_POLL_SECONDS = 0.2  # until it is looked again whether a device is free


class Reaper:
    """A process that kills our jobs should we be killed by what nobody can catch (SIGKILL, out of memory).

    It reads from a pipe that only we and jobs about to start hold open, so that its end is ours. Jobs say themselves
    that they start, before anything else, since we may be gone by then.
    """

    def __init__(self) -> None:
        read_end, self.pipe = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                os.close(self.pipe)
                self._watch(read_end)
            finally:
                os._exit(0)
        os.close(read_end)

    def register(self) -> None:
        """Called in a job, as the leader of its group: we are to be killed."""
        os.write(self.pipe, b"%d\n" % os.getpid())

    def forget(self, group: int) -> None:
        """Called when a job has ended."""
        os.write(self.pipe, b"-%d\n" % group)

    def close(self) -> None:
        """Called when all jobs have ended."""
        os.close(self.pipe)
        os.waitpid(self.process, 0)

    @staticmethod
    def _watch(read_end: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.setsid()  # what kills our parent's group does not kill us
        groups: set[int] = set()
        with open(read_end, encoding="ascii") as lines:
            for line in lines:
                number = int(line)
                groups.add(number) if number > 0 else groups.discard(-number)
        if groups:
            kill_groups(groups)


def kill_groups(groups: set[int]) -> None:
    """Kill process groups and what they started: torchrun's processes, for one, have groups of their own."""
    rows: list[list[int]] = []
    with contextlib.suppress(OSError):  # there may be no ps
        command = ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid="]
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        rows = [[int(word) for word in line.split()] for line in listed.splitlines()]
    family: set[int] = set()
    while more := {pid for pid, parent, group in rows if group in groups or parent in family} - family:
        family |= more
    targets = [(os.killpg, group) for group in groups] + [(os.kill, process) for process in family]
    for kill, target in targets:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(target, signal.SIGKILL)


class Job:
    """One command with its log.

    Args:
        command: What bash runs.
        log: Its log; parent directories are made, an old log is replaced.
        num_threads: For the log's accounting only.
        environment: Variables that differ from ours.
        reaper: Gets to know it; with one, a job has a process group of its own.
    """

    def __init__(
        self, command: str, log: Path, num_threads: int, environment: dict[str, str], reaper: Reaper | None
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.num_threads, self.start, self.reaper, self.path = num_threads, time.time(), reaper, log
        # Appending, so that nothing is overwritten where the command writes to its log by itself.
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self.log = os.open(log, flags, 0o666)
        header = [*command.split("\n"), f"Running on {os.uname().nodename}", f"Started at {_date()}"]
        self._write("".join(f"# {line}\n" for line in header) + "#\n")
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=reaper is not None,
            preexec_fn=reaper.register if reaper else None,  # we have one thread
        )
        self.group = self.process.pid if reaper else os.getpgrp()

    def kill(self, number: int) -> bool:
        """Send a signal to the command and everything it started; tells whether there was anything."""
        try:
            os.killpg(self.group, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def is_alive(self) -> bool:
        """Tell whether the command or, in a group of its own, anything it started still runs."""
        running = self.process.poll() is None
        return running or (self.group == self.process.pid and self.kill(0))

    def finish(self) -> int:
        """Write how the job ended.

        Returns:
            Its exit code, 128 + n where signal n killed it. A job whose log cannot be written, as on a full disk,
            has failed: its messages are lost, and the next run would not know that it has ended.
        """
        code, suffix = self.process.returncode, ""
        if self.reaper:
            self.reaper.forget(self.group)
        if code < 0:
            code, suffix = 128 - code, f"; signal {-code}"
        elapsed = int(time.time() - self.start)
        size = os.fstat(self.log).st_size  # 0 for /dev/stdout and the like
        cut_short = size > 0 and os.pread(self.log, 1, size - 1) != b"\n"
        try:
            self._write(
                ("\n" if cut_short else "") + f"# Accounting: time={elapsed} threads={self.num_threads}\n"
                f"# Ended (code {code}{suffix}) at {_date()}, elapsed time {elapsed} seconds\n"
            )
        except OSError as error:
            print(f"cannot write {self.path}: {error.strerror}; make room and run this again", file=sys.stderr)
            code = code or 1
        os.close(self.log)
        return code

    def _write(self, words: str) -> None:
        data = os.fsencode(words)
        while data:
            data = data[os.write(self.log, data) :]


def _date() -> str:
    return time.strftime("%a %b %e %H:%M:%S %Z %Y")


class Signals:
    """Notes the signals that should end us and wakes whoever waits.

    Handlers only leave a note: an exception in the middle of a start could lose a child. They are also there where
    a script started us in the background, which ignores Ctrl-C by default.

    Attributes:
        received: The first signal that should end us, 0 before.
        at_once: Whether Ctrl-C came after it: nothing is waited for any more. A second SIGTERM says nothing, as
            what signals us and our parent, such as `timeout`, does so twice.
    """

    def __init__(self) -> None:
        self.received, self.at_once = 0, False
        self.wakeup, write_end = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self.at_once = self.at_once or bool(self.received) and number == signal.SIGINT
        self.received = self.received or number

    def wait(self, seconds: float | None = None, files: tuple[int, ...] = ()) -> None:
        """Wait for a signal (a child that ends sends one too), for something to read, or for some time."""
        if self.wakeup in select.select([self.wakeup, *files], [], [], seconds)[0]:
            os.read(self.wakeup, 4096)


class Runner:
    """Runs jobs side by side, and takes them all down when it is interrupted.

    Args:
        signals: What may interrupt it.
        own_groups: Whether each job gets a process group of its own, to be killed as a whole. Not on a cluster,
            which finds what it must kill by our group.
    """

    def __init__(self, signals: Signals, *, own_groups: bool = True) -> None:
        self.signals, self.own_groups = signals, own_groups

    def run(
        self, request: launcher.Request, numbers: list[int], slots: list[Slot]
    ) -> dict[int, int]:
        """Run jobs, as many at once as there are slots.

        Args:
            request: The call.
            numbers: The jobs to run, in this order.
            slots: The places, which say what devices their jobs may use.

        Returns:
            The exit code of each job that ran.
        """
        reaper = Reaper() if self.own_groups else None
        codes: dict[int, int] = {}
        free, running, waiting = list(slots), {}, list(numbers)
        threads = request.integer("num-threads", 1, 1)
        while (waiting or running) and not self.signals.received:
            while waiting and free and not self.signals.received:
                environment = free[0].claim()
                if environment is None:  # others have the devices
                    break
                number, slot = waiting.pop(0), free.pop(0)
                try:
                    command, log = request.command_of(number), request.log_of(number)
                    running[number] = (Job(command, log, threads, environment, reaper), slot)
                except OSError as error:
                    print(f"cannot start {request.log_of(number)}: {error}", file=sys.stderr)
                    codes[number] = 1
                    slot.release()
                    free.append(slot)
            if waiting and free:
                self.signals.wait(DEVICE_POLL_SECONDS)
            elif running:
                self.signals.wait()
            for number, (job, slot) in list(running.items()):
                if job.process.poll() is not None:
                    codes[number] = job.finish()
                    del running[number]
                    slot.release()
                    free.append(slot)
        self._take_down([job for job, _ in running.values()])
        codes.update({number: job.finish() for number, (job, _) in running.items()})
        if reaper:
            reaper.close()
        return codes

    def _take_down(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        for job in jobs:
            job.kill(signal.SIGTERM)
            job.kill(signal.SIGCONT)
        start, told = time.monotonic(), False
        while (left := [job for job in jobs if job.is_alive()]) and not self.signals.at_once:
            waited = time.monotonic() - start
            if waited > KILL_AFTER_SECONDS:
                break
            if waited > TELL_AFTER_SECONDS and not told:
                print(waiting_for(f"the job of {left[0].path}"), file=sys.stderr, flush=True)
                told = True
            self.signals.wait(0.1)
        if left and self.own_groups:
            kill_groups({job.group for job in left})  # also what outlived its bash
        for job in jobs:
            job.process.wait()


def waiting_for(what: str) -> str:
    """Tell who pressed Ctrl-C, or might, why nothing seems to happen."""
    return (
        f"{Path(sys.argv[0]).name}: waiting up to {KILL_AFTER_SECONDS} s for {what} to end, a training after saving a "
        "checkpoint; Ctrl-C now kills it at once"
    )
