"""One trial: a stage is killed, runs again, and is compared with the reference."""

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from killing.compare import differences, partial_files, read_tree
from killing.recipe import Recipe, Run, copy_tree

KINDS = ("SIGKILL", "SIGINT", "SIGTERM", "full disk")
TIMEOUT = 3600.0  # seconds; a stage takes a few
END_WITHIN = 120.0  # seconds from an interrupt to the end: nothing in this recipe takes that long to save
PAGE = 4096


@dataclass
class Trial:
    """What was done and what was found."""

    number: int  # by which kills.py finds it again
    stage: int
    kind: str
    moment: str = ""  # when it was killed
    in_time: bool = False  # whether there was something to kill
    status: int | None = None  # of the killed run
    seconds: float = 0.0  # until it was killed
    problems: list[str] = field(default_factory=list)


class Killer:
    """Holds the reference and does trials.

    Args:
        work: an empty directory.
        fast: folders that come first on the PATH of runs that are not killed: a Python that starts fronts fast.
    """

    def __init__(self, work: Path, *fast: Path):
        self.work, self.fast = work, fast
        self.recipe = Recipe(work)
        self.snapshots = {-1: work / "snapshots/none"}
        self.snapshots[-1].mkdir(parents=True)
        self.trees: dict[int, dict[str, bytes]] = {-1: {}}
        self.seconds: dict[int, float] = {}
        self.new_files: dict[int, int] = {}

    def make_reference(self, stage: int) -> None:
        """Run a stage undisturbed and keep what there is then."""
        run = self.recipe.start(stage)
        status = run.wait(TIMEOUT)
        self.seconds[stage] = run.seconds()
        if status != 0:
            raise RuntimeError(f"stage {stage} ended with {status} without being disturbed:\n{run.output()[-3000:]}")
        self.snapshots[stage] = self.work / f"snapshots/{stage}"
        shutil.copytree(self.recipe.disk, self.snapshots[stage], symlinks=True)
        self.trees[stage] = read_tree(self.snapshots[stage])
        self.new_files[stage] = len(_files(self.snapshots[stage])) - len(_files(self.snapshots[stage - 1]))

    def trial(self, trial: Trial, rng: random.Random) -> Trial:
        """Kill, run again, compare; the stage starts from the reference's stages before it."""
        stage, kind = trial.stage, trial.kind
        with self._disk(stage, kind, rng, trial):
            run = self.recipe.start(stage)
            if kind == "full disk":
                trial.status = run.wait(TIMEOUT)
                trial.in_time = trial.status != 0
            else:
                trial.in_time = self._kill(run, trial, rng)
            trial.seconds = run.seconds()
            if not trial.in_time:
                self.seconds[stage] = trial.seconds  # the machine is faster now
                return trial
            trial.problems += self._look_at_killed(run, trial)
            if kind == "full disk":
                _mount("remount,size=1g", self.recipe.disk)
            if not trial.problems or trial.status is not None:
                trial.problems += self._run_again(stage)
        return trial

    def _disk(self, stage: int, kind: str, rng: random.Random, trial: Trial):
        """The stages before, and for a full disk little room after them."""
        before, after = self.snapshots[stage - 1], self.snapshots[stage]
        if kind != "full disk":
            copy_tree(before, self.recipe.disk)
            return _Mounted(None, self.recipe)
        used = [_room(path, self.recipe.disk) for path in (before, after)]
        share = rng.random()
        size = used[0] + max(PAGE, int((used[1] - used[0]) * share) // PAGE * PAGE)
        trial.moment = f"{share:.0%} of the {(used[1] - used[0]) // 1024} KiB that it writes"
        _mount(f"size={size}", self.recipe.disk)
        copy_tree(before, self.recipe.disk)
        return _Mounted(self.recipe.disk, self.recipe)

    def _kill(self, run: Run, trial: Trial, rng: random.Random) -> bool:
        """Wait for a moment of chance and send the signal; False where the run has ended before.

        Half of the moments are by the clock, half by the files written so far: most of a short stage's time is spent
        on loading libraries, most of what can go wrong is where it writes.
        """
        share, delay = rng.random(), rng.uniform(0, 0.01)
        to_group = trial.kind != "SIGTERM" or rng.random() < 0.5
        if rng.random() < 0.5:
            moment = share * self.seconds[trial.stage]
            trial.moment = f"after {moment:.2f} s"
            ended = run.wait(moment) is not None
        else:
            number = 1 + int(share * self.new_files[trial.stage])
            trial.moment = f"{1000 * delay:.0f} ms after the file number {number}"
            ended = not self._wait_for_files(run, number)
            time.sleep(delay)
        if ended or run.process.poll() is not None:
            return False
        number = getattr(signal, trial.kind)
        if to_group:
            os.killpg(run.process.pid, number)
        else:
            trial.moment += ", the engine alone"
            os.kill(run.process.pid, number)
        trial.status = run.wait(END_WITHIN)
        return trial.status != 0

    def _wait_for_files(self, run: Run, number: int) -> bool:
        seen = _files(self.recipe.disk)
        least = len(seen) + number
        while run.process.poll() is None:
            seen |= _files(self.recipe.disk)
            if len(seen) >= least:
                return True
            time.sleep(0.002)
        return False

    def _look_at_killed(self, run: Run, trial: Trial) -> list[str]:
        problems, output = [], run.output()
        if trial.status is None:
            problems.append(f"still runs {END_WITHIN:g} s after {trial.kind}")
        deadline = time.monotonic() + 3
        while run.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        problems += [f"still alive: {words[:200]}" for words in run.alive().values()]
        run.kill()
        if "Traceback" in output:
            problems.append(f"a traceback on the terminal: {output[-1500:]}")
        if trial.kind == "full disk" and "No space left on device" not in output:
            problems.append(f"nothing about the full disk on the terminal: {output[-1500:]}")
        if trial.kind != "SIGKILL":
            for log in sorted(self.recipe.disk.rglob("*.log")):
                text = log.read_text(encoding="utf-8", errors="replace")
                if "Traceback" in text:
                    problems.append(f"a traceback in {log.name}: {text[-2500:]}")
        # In its first moments it has done nothing that could be interrupted.
        if trial.kind in ("SIGINT", "SIGTERM") and (output or trial.status != -getattr(signal, trial.kind)):
            if output.count("run the same command again to go on") != 1:
                problems.append(f"not one message about the interrupt: {output[-1500:]}")
            if trial.status != 128 + getattr(signal, trial.kind):
                problems.append(f"the exit status is {trial.status}")
        stage = trial.stage
        return problems + partial_files(self.trees[stage - 1], self.trees[stage], self.recipe.disk)

    def _run_again(self, stage: int) -> list[str]:
        """Once to finish, once more to do nothing."""
        run = self.recipe.start(stage, *self.fast)
        status = run.wait(TIMEOUT)
        if status != 0:
            return [f"the second run ended with {status}: {run.output()[-1500:]}"]
        problems = differences(self.trees[stage], self.recipe.disk)
        run = self.recipe.start(stage)
        status = run.wait(TIMEOUT)
        if status != 0 or f"Stage {stage}: complete, nothing to do" not in run.output():
            problems.append(f"a third run has something to do (status {status}): {run.output()[-1500:]}")
        return problems


def _files(root: Path) -> set[str]:
    """Paths of files, also of those that come and go while we look."""
    return {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}


def _mount(options: str, where: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)], check=True, capture_output=True)


class _Mounted:
    """A disk that a stage works on; at the end of a trial nothing runs there, and what was mounted is unmounted."""

    def __init__(self, where: Path | None, recipe: Recipe | None = None):
        self.where, self.recipe = where, recipe

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_) -> None:
        if self.recipe and self.recipe.last:
            self.recipe.last.kill()  # where we are interrupted ourselves
        if self.where is not None:
            subprocess.run(["umount", str(self.where)], check=True)


def _room(source: Path, where: Path) -> int:
    """Bytes that files take on a tmpfs."""
    _mount("size=1g", where)
    with _Mounted(where):
        copy_tree(source, where)
        return shutil.disk_usage(where).used


def why_no_mount(where: Path) -> str | None:
    """Why small disks cannot be had here; None where they can."""
    try:
        _mount("size=4k", where)
    except FileNotFoundError:
        return "there is no program mount"
    except subprocess.CalledProcessError as error:
        return error.stderr.decode(errors="replace").strip()
    subprocess.run(["umount", str(where)], check=True)
    return None
