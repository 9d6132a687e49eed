"""Jobs that are done one after the other in a thread; what they make is kept in memory for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soundstorm.data.errors import InputError

logger = logging.getLogger(__name__)
WAITING, WORKING, DONE, FAILED, CANCELLED = "waiting", "working", "done", "failed", "cancelled"
MOST_WAITING = 8
MOST_KEPT = 16  # of the jobs that ended


class QueueFull(Exception):
    """Too many jobs wait."""


class Cancelled(Exception):
    """Nobody wants the result of this job any more."""


@dataclass
class Job:
    """One piece of work, from its request to its result."""

    work: Callable[..., Any] | None  # takes `progress`, see SpeechGenerator
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))  # that nobody can guess
    state: str = WAITING
    progress: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error: str = ""
    seconds: float = 0.0  # of work

    def tell(self, **what: Any) -> None:
        """Note progress; a new part of the work begins to count anew.

        Raises:
            Cancelled: the work is to end.
        """
        if self.state == CANCELLED:
            raise Cancelled
        kept = ("segment", "segments") if "part" in what else self.progress
        self.progress = {key: value for key, value in self.progress.items() if key in kept} | what


class WorkQueue:
    """Takes jobs, does them in their order, and keeps the last results."""

    def __init__(self):
        self._open = True
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        # A daemon only so that a queue that nobody closes does not keep Python from ending.
        self._thread = threading.Thread(target=self._run, daemon=True, name="speech")
        self._thread.start()

    def add(self, work: Callable[..., Any]) -> Job:
        """Put a job at the end.

        Raises:
            QueueFull: there are :data:`MOST_WAITING`.
        """
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise QueueFull(
                    f"{len(self._waiting)} texts wait already; try again when some of them are said"
                )
            job = Job(work)
            self._jobs[job.name] = job
            self._waiting.append(job)
            self._changed.notify()
        return job

    def get(self, name: str) -> Job | None:
        """A job that is waiting, at work or kept."""
        return self._jobs.get(name)

    def ahead(self, job: Job) -> int:
        """How many jobs are done before this one begins."""
        with self._changed:
            working = any(other.state == WORKING for other in self._jobs.values())
            return self._waiting.index(job) + working if job in self._waiting else 0

    def cancel(self, job: Job) -> None:
        """Take a job away, or let it end soon; of one that has ended forget the result."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            if job.state != WORKING:
                self._jobs.pop(job.name, None)
            job.state = CANCELLED

    def close(self) -> None:
        """End the job that is at work, where it next tells its progress, and the thread."""
        with self._changed:
            self._open = False
            for job in self._jobs.values():
                if job.state == WORKING:
                    job.state = CANCELLED
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._open and not self._waiting:
                    self._changed.wait()
                if not self._open:
                    return
                job = self._waiting.popleft()
                job.state = WORKING
            self._do(job)
            with self._changed:
                job.work = None  # and the recordings that it holds
                ended = [other for other in self._jobs.values() if other.state in (DONE, FAILED, CANCELLED)]
                for other in ended[:-MOST_KEPT]:
                    del self._jobs[other.name]

    def _do(self, job: Job) -> None:
        started = time.perf_counter()
        state = FAILED
        try:
            job.result = job.work(progress=job.tell)
            state = DONE
        except Cancelled:
            state = CANCELLED
        except (InputError, OSError) as error:
            job.error = str(error)
        except Exception as error:  # the next job must be done whatever this one met
            logger.exception("a fault of the program rather than of its input; please report it")
            out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
            job.error = (
                "the machine's memory is not enough for this; say less at a time" if out_of_memory
                else f"a fault of the program ({type(error).__name__}: {error}); its log says more"
            )  # fmt: skip
        job.seconds = time.perf_counter() - started
        job.state = CANCELLED if job.state == CANCELLED else state
