"""The recipe that is killed: the corpus of egs/TEMPLATE/README.md and the smallest of models, stage by stage."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from checkout import Checkout
from readers import OPTIONS, follow_readme, write_configs, write_corpus

STAGES = range(8)
# Checkpoints fall before, between and after the other things that a step may do.
TRAINING = {"max_steps": 12, "batch_size": 4, "log_every": 2, "valid_every": 6, "save_every": 3}
MARK = "SOUNDSTORM_KILLED_RUN"  # variable by which every process of a run is known, whatever its group or session


class Recipe:
    """A recipe in a directory of its own; what its stages write is in ``disk`` and nowhere else.

    Args:
        work: an empty directory.
    """

    def __init__(self, work: Path):
        self.work, self.runs = work, 0
        self.last: Run | None = None
        self.checkout = Checkout(work / "checkout")
        write_corpus(work / "corpus", seconds=4.5, chapters=2)
        follow_readme(self.checkout, work / "corpus", timeout=3600)
        self.root = self.checkout.root / "egs/readers"
        shutil.rmtree(self.root / "data")  # the README's own stage 0
        write_configs(self.root, **TRAINING)
        self.disk = self.root / "disk"
        self.disk.mkdir()

    def command(self, stage: int) -> list[str]:
        """The command line of one stage, as a user would write it."""
        return [
            "./run.sh", "--stage", str(stage), "--stop-stage", str(stage),
            "--datadir", "disk/data", "--dumpdir", "disk/dump", "--expdir", "disk/exp",
            "--local-data-opts", f"--datadir disk/data --corpus {self.work / 'corpus'}",
            *OPTIONS, "--consistency", "none",
            "--systems", "soundstorm_prompted soundstorm_text", "--prompt-seconds", "2",
            "--score-args", "--score.quality-utterances 0", "--results", "disk/RESULTS.md",
        ]  # fmt: skip

    def start(self, stage: int, *first: Path) -> "Run":
        """Start a stage in a process group of its own, as a terminal does; ``first`` come first on its PATH."""
        self.runs += 1
        mark = f"{self.work}/{self.runs}"
        self.last = Run(self.command(stage), self.root, self.work / "terminal.txt", mark, first)
        return self.last


class Run:
    """One call of a stage.

    Args:
        command: what runs.
        root: where.
        terminal: file for what a user would see.
        mark: word that no other run has.
        first: folders that come first on the PATH.
    """

    def __init__(self, command: list[str], root: Path, terminal: Path, mark: str, first: tuple[Path, ...] = ()):
        self.mark, self.terminal, self.began = f"{MARK}={mark}", terminal, time.monotonic()
        path = os.pathsep.join([*map(str, first), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1", MARK: mark}
        with open(terminal, "wb") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> int | None:
        """Exit status (negative: the signal), or None where it has not ended in that time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End all of it without asking."""
        for process in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def output(self) -> str:
        """What a user has seen so far."""
        return self.terminal.read_text(encoding="utf-8", errors="replace")

    def alive(self) -> dict[int, str]:
        """Processes of this run that still run, with their command lines."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                if self.mark.encode() not in (folder / "environ").read_bytes().split(b"\0"):
                    continue
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has just ended
            if state not in "ZX":
                found[int(folder.name)] = words.strip()
        return found


def copy_tree(source: Path, target: Path) -> None:
    """Replace what is in ``target`` by what is in ``source``, with its times: stages compare them."""
    for old in target.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
