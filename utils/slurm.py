#!/usr/bin/env python3
"""Run a command, or an array of commands, on a Slurm cluster.

usage: utils/slurm.py [options] [JOB=1:N] <log> <command> [args ...]
 e.g.: utils/slurm.py --mem 4G --max-jobs-run 4 JOB=1:20 exp/log/extract.JOB.log extract.sh keys.JOB.scp

The command line and the logs are those of utils/run.py. How options become options of sbatch is written in
conf/slurm.conf, or in the file of --config; those with a single dash go to sbatch as they are.

The exit status is 0 if all jobs succeeded, 1 if one failed, 130 after Ctrl-C (the jobs are cancelled), 255 for a
wrong command line. A job has succeeded if its log says so: one that leaves no word has failed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

UTILS = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [UTILS, os.path.dirname(UTILS)]  # where PYTHONSAFEPATH is set, too

import launcher  # noqa: E402
from jobs import KILL_AFTER_SECONDS, TELL_AFTER_SECONDS, Signals, waiting_for  # noqa: E402

from soundstorm.data.shared_files import wait_until  # noqa: E402

DEFAULT_CONFIG = "conf/slurm.conf"
BUILT_IN = ["config", "max-jobs-run", "pick"]
POLL_SECONDS = 10.0  # between looks at the queue, where sbatch was cut off from the cluster
CANCEL_SECONDS = 10.0  # for sbatch to tell the number of a job that is to be cancelled


@dataclass
class SlurmConfig:
    """What a slurm.conf says.

    Attributes:
        path: The file.
        command: The fixed part of the sbatch command.
        rules: Option to value (or "*") to the words that go to sbatch, with $0 for the value.
        defaults: Options that hold when they are not given.
    """

    path: Path
    command: list[str] = field(default_factory=list)
    rules: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)

    def words_for(self, options: dict[str, str]) -> list[str]:
        """Turn options of the launcher into options of sbatch.

        Args:
            options: Option to value; names have dashes.

        Returns:
            Words for sbatch.

        Raises:
            UsageError: The file has no rule for an option, or none for its value.
        """
        known = [name.replace("_", "-") for name in self.rules] + BUILT_IN
        launcher.refuse_unknown(list(options), known, f"{self.path} has no rule for it")
        given = {name.replace("-", "_"): value for name, value in options.items() if name not in BUILT_IN}
        words = []
        for name, value in {**self.defaults, **given}.items():
            rule = self.rules[name].get(value, self.rules[name].get("*"))
            if rule is None:
                raise launcher.UsageError(f"{self.path} has no rule for --{name.replace('_', '-')} {value}")
            words += [word.replace("$0", value) for word in rule]
        return words


def read_config(path: Path) -> SlurmConfig:
    """Read a slurm.conf.

    Args:
        path: The file.

    Returns:
        What it says.

    Raises:
        UsageError: There is no such file, or a line that cannot be understood.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise launcher.UsageError(
            f"cannot read {path} ({error.strerror}); copy egs/TEMPLATE/conf/slurm.conf to {DEFAULT_CONFIG} and "
            "give it the names of your partitions"
        ) from None
    config = SlurmConfig(path)
    for number, line in enumerate(lines, start=1):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        kind, rest = words[0], words[1:]
        name, equals, value = rest[0].partition("=") if rest else ("", "", "")
        if kind == "command" and rest:
            config.command = rest
        elif kind == "option" and equals:
            config.rules.setdefault(name.replace("-", "_"), {})[value] = rest[1:]
        elif kind == "default" and equals and len(rest) == 1:
            config.defaults[name.replace("-", "_")] = value
        else:
            raise launcher.UsageError(
                f"{path}, line {number}: expected command <words>, option <name>=<value> <words> or "
                f"default <name>=<value>, got {line.strip()!r}"
            )
    if not config.command:
        raise launcher.UsageError(f"{path} has no line such as: command sbatch --export=ALL")
    for name in config.defaults:
        if name not in config.rules:
            raise launcher.UsageError(f"{path} has a default for {name} but no rule: option {name}=* <words>")
    return config


def array_words(request: launcher.Request, numbers: list[int]) -> list[str]:
    """Name the tasks of the array, e.g. 1-3,7%2 for four of which two may run at once."""
    if not request.name:
        return []
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    tasks = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    limit = request.options.get("max-jobs-run")
    return ["--array", tasks + (f"%{limit}" if limit else "")]


def queue_path(request: launcher.Request) -> Path:
    """Where the job's script and the scheduler's own log go: `q` beside the logs, or beside their `log` folder."""
    log = Path(request.log)
    folder = log.parent.parent if log.parent.name == "log" else log.parent
    while request.name and request.name in str(folder):
        folder = folder.parent
    stem = log.name[: -len(".log")] if log.name.endswith(".log") else log.name
    if request.name:
        stem = re.sub(rf"[._-]?{request.name}", "", stem)
    return folder / "q" / (stem or "job")


def write_job(request: launcher.Request, base: Path) -> Path:
    """Write the script that Slurm runs: it hands its task to the launcher that also runs jobs locally.

    Args:
        request: The call.
        base: Path without extension.

    Returns:
        The script.
    """
    base.parent.mkdir(parents=True, exist_ok=True)
    spec, script = base.with_name(base.name + ".json"), base.with_name(base.name + ".sh")
    launcher.write_spec(request, spec)
    program = [sys.executable, str(Path(launcher.__file__).resolve()), str(spec)]
    script.write_text(
        "#!/usr/bin/env bash\n"
        f"cd {shlex.quote(os.getcwd())} && {{ [ ! -f path.sh ] || . ./path.sh; }} || exit 1\n"
        f'exec {shlex.join(program)} "${{SLURM_ARRAY_TASK_ID:-1}}"\n',
        encoding="utf-8",
    )
    return script


def submit(words: list[str], signals: Signals) -> str:
    """Submit a job and wait until it has ended or we are told to stop; then cancel it.

    Args:
        words: The sbatch command, with --parsable and --wait.
        signals: What may stop us.

    Returns:
        The job's number, empty if sbatch refused it.
    """
    # A session of its own: Ctrl-C must reach us first, who know the number of the job.
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    output = process.stdout.fileno()
    os.set_blocking(output, False)
    said, files, deadline = b"", (output,), None

    while process.poll() is None:
        if signals.received:
            deadline = deadline or time.monotonic() + CANCEL_SECONDS
            if b"\n" in said or time.monotonic() > deadline:
                break
        signals.wait(0.2 if signals.received else None, files)
        chunk = _read(output)
        if chunk == b"":
            files = ()
        said += chunk or b""
    said += _read(output) or b""
    number = said.decode().split("\n")[0].split(";")[0].strip()
    number = number if number.isdecimal() else ""
    if signals.received:
        if number:
            cancel(number, signals)
        process.terminate()
    process.wait()
    return number


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None


def cancel(number: str, signals: Signals) -> None:
    """End a job: tasks that run get SIGTERM and the time of :data:`jobs.KILL_AFTER_SECONDS`, or until Ctrl-C comes.

    A plain scancel kills them after the KillWait of the cluster, mostly 30 s.
    """
    for words in (["--state", "PENDING"], ["--batch", "--signal", "TERM"]):  # the job's launcher tells all it started
        subprocess.run(["scancel", *words, number], stderr=subprocess.DEVNULL, check=False)  # there may be none such
    start, told = time.monotonic(), False

    def over() -> bool:
        nonlocal told
        if signals.at_once or not is_queued(number):
            return True
        if not told and time.monotonic() - start > TELL_AFTER_SECONDS:
            print(waiting_for(f"job {number} of the cluster"), file=sys.stderr, flush=True)
            told = True
        return False

    wait_until(over, [], pause=signals.wait, seconds=KILL_AFTER_SECONDS)
    # Also where it seems to be over: squeue may just not have answered, and one that is over is not cancelled.
    subprocess.run(["scancel", number], stderr=subprocess.DEVNULL, check=False)


def is_queued(number: str) -> bool:
    """Tell whether the cluster still has the job; where there is nobody to ask it has not."""
    try:
        queue = subprocess.run(["squeue", "-h", "-j", number], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return queue.returncode == 0 and bool(queue.stdout.strip())


def run_array(request: launcher.Request, numbers: list[int], words: list[str], signals: Signals) -> list[int]:
    """Submit the jobs, wait for them and read in their logs how they ended.

    Args:
        request: The call.
        numbers: The jobs to run.
        words: Options for sbatch.
        signals: What may stop us.

    Returns:
        The jobs that failed.
    """
    base = queue_path(request)
    script = write_job(request, base)
    queue_log = base.with_name(base.name + ".log")
    queue_log.write_bytes(b"")
    for number in numbers:
        log = request.log_of(number)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)  # an old success must not pass for one of ours
    words = [*words, "--parsable", "--wait", "--open-mode=append", "-e", str(queue_log), "-o", str(queue_log)]
    job = submit([*words, *array_words(request, numbers), str(script)], signals)
    if signals.received:
        return numbers
    if not job:
        print(f"slurm.py: sbatch did not take the job: {shlex.join(words)}", file=sys.stderr)
        return numbers

    def silent() -> list[int]:
        return [number for number in numbers if launcher.log_state(request.log_of(number)) == "incomplete"]

    while silent() and is_queued(job) and not signals.received:
        signals.wait(POLL_SECONDS)
    if signals.received:
        cancel(job, signals)
    folders = {request.log_of(number).parent for number in numbers}
    wait_until(lambda: not silent() or bool(signals.received), folders, pause=signals.wait)
    if left := silent():
        print(
            f"slurm.py: {len(left)} of {len(numbers)} jobs of {job} ended without a word in their log (killed for "
            f"time or memory?); the scheduler's own log is {queue_log}",
            file=sys.stderr,
        )
    return [number for number in numbers if launcher.log_state(request.log_of(number)) != "done"]


def main(arguments: list[str]) -> int:
    if arguments in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    try:
        request = launcher.parse_command_line(arguments)
        config = read_config(Path(request.options.get("config", DEFAULT_CONFIG)))
        words = [*config.command, *config.words_for(request.options), *request.passed]
        request.integer("num-threads", 1, 1)
        if problem := launcher.require_log_per_job(request):
            print(f"slurm.py: {problem}", file=sys.stderr)
            return 1
        numbers, failed = launcher.pick(request)
        signals = Signals()
        if numbers:
            failed = sorted(failed + run_array(request, numbers, words, signals))
    except launcher.UsageError as error:
        usage = "usage: utils/slurm.py [options] [JOB=1:N] <log> <command> [args ...]"
        print(f"slurm.py: {error}\n{usage}", file=sys.stderr)
        return launcher.USAGE_STATUS
    except OSError as error:
        print(f"slurm.py: {error}; is Slurm in the PATH?", file=sys.stderr)
        return 1
    if signals.received:
        print(f"slurm.py: interrupted, the log is {request.log}", file=sys.stderr)
        return 128 + signals.received
    return launcher.report(request, "slurm.py", len(request.numbers()), failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
