#!/usr/bin/env python3
"""Start a training in several processes, here or on all machines of a Slurm job.

usage: utils/torchrun.py --num-nodes N --procs-per-node P -m <module> [args ...]
 e.g.: utils/torchrun.py --num-nodes 2 --procs-per-node 8 -m soundstorm.bin.train_soundstorm --expdir exp/soundstorm

On one machine this is `torchrun --standalone`, but for its status after a signal: 128 and its number. With
more it must be called by a job that Slurm runs on the first of them: it starts torchrun once on each by srun,
and they meet at a port of the first one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # where PYTHONSAFEPATH is set, too

from jobs import KILL_AFTER_SECONDS  # noqa: E402

FIRST_PORT, NUM_PORTS = 29500, 2000  # by the job's number, so that two jobs on a machine do not meet


def make_command(num_nodes: int, processes: int, program: list[str], environment: dict[str, str]) -> list[str]:
    """What to run in place of this script.

    Args:
        num_nodes: Machines.
        processes: Processes on each.
        program: What torchrun is to run: `-m`, a module and its arguments.
        environment: Variables, those of Slurm among them.

    Returns:
        The command.

    Raises:
        ValueError: Several machines, but no job of Slurm.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    if num_nodes == 1:
        return [*torchrun, "--standalone", *program]
    job = environment.get("SLURM_JOB_ID", "")
    if not job.isdecimal():
        raise ValueError(f"--num-nodes {num_nodes} works in a job of Slurm only; set cmd_backend=slurm (cmd.sh)")
    meeting = ["--rdzv-backend", "c10d", "--rdzv-id", job]
    meeting += ["--rdzv-endpoint", f"{socket.gethostname()}:{FIRST_PORT + int(job) % NUM_PORTS}"]
    srun = ["srun", "--nodes", str(num_nodes), "--ntasks", str(num_nodes), "--ntasks-per-node", "1"]
    if "SLURM_CPUS_PER_TASK" in environment:  # a step does not take it over from its job
        srun += ["--cpus-per-task", environment["SLURM_CPUS_PER_TASK"]]
    return [*srun, "--kill-on-bad-exit=1", *torchrun, "--nnodes", str(num_nodes), *meeting, *program]


def run_here(arguments: list[str]) -> int:
    """torchrun in this process; its processes get the signals that this one gets.

    Args:
        arguments: Of torchrun.

    Returns:
        Its status.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main(arguments)
    except SignalException as stop:
        return 128 + stop.sigval
    except ChildFailedError as error:
        # What a signal has reached ends by it or with its status, the others are ended by torchrun.
        first = error.get_first_failure()[1].exitcode
        number = -first if first < 0 else first - 128
        if number in (signal.SIGINT, signal.SIGTERM):
            return 128 + number
        raise
    return 0


def run_everywhere(command: list[str], job: str) -> int:
    """srun, in a session of its own: it would kill its tasks at SIGTERM, which Slurm can tell them instead.

    Args:
        command: srun's.
        job: Number of this job of Slurm.

    Returns:
        Its status, or 128 and the number of a signal that we got.
    """
    received: list[int] = []

    def tell(number: int, frame: object) -> None:
        received.append(number)
        subprocess.run(["scancel", "--signal", "TERM", job], check=False)  # the steps of the job, not its script

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    if received:  # before there is a step to be told
        return 128 + received[0]
    status = subprocess.Popen(command, start_new_session=True).wait()
    return 128 + received[0] if received else status if status >= 0 else 128 - status


def main(arguments: list[str]) -> int:
    """Parse and run."""
    if arguments in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    numbers = {"--num-nodes": 1, "--procs-per-node": 1}
    rest = list(arguments)
    while len(rest) > 1 and rest[0] in numbers and rest[1].isdecimal() and int(rest[1]) > 0:
        numbers[rest[0]] = int(rest[1])
        del rest[:2]
    if len(rest) < 2 or rest[0] != "-m":
        print(f"torchrun.py: expected -m <module>, got {rest[:2]}; see --help", file=sys.stderr)
        return 255
    # From one signal to the other; torch of before 2026 does not heed it and kills after 30 s.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(KILL_AFTER_SECONDS))
    try:
        command = make_command(numbers["--num-nodes"], numbers["--procs-per-node"], rest, dict(os.environ))
        if numbers["--num-nodes"] == 1:
            return run_here(command[3:])
        return run_everywhere(command, os.environ["SLURM_JOB_ID"])
    except (OSError, ValueError) as error:
        print(f"torchrun.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
