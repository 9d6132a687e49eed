#!/usr/bin/env python3
"""Run a command, or an array of commands, on this machine.

usage: utils/run.py [options] [JOB=1:N] <log> <command> [args ...]
 e.g.: utils/run.py --max-jobs-run 4 JOB=1:20 exp/log/extract.JOB.log extract.sh keys.JOB.scp

Every JOB in the command and the log becomes the job's number. An argument without white space is live bash
(\\| \\> $X *), one with white space is literal. Options come before the log and take one value each:

  --max-jobs-run N (-tc N)  at most N jobs at once (default: as many as there are processors)
  --gpu G                   G devices for each job, not shared with any other job on this machine, of this
                            call or of others
  --jobs-per-gpu N          at most N jobs on one device (default: 1)
  --pick all|failed|incomplete
                            look at the logs there are: leave out the jobs that are done; `incomplete` also
                            leaves out those that failed
  --num-threads N           for the log
  --config --mem --name --num-nodes --time
                            for utils/slurm.py, ignored here; so are all options with a single dash

The exit status is 0 if all jobs succeeded, 1 if one failed, 130 after Ctrl-C, 255 for a wrong command line.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # where PYTHONSAFEPATH is set, too

import launcher  # noqa: E402
from devices import DeviceSlot, Slot, visible_devices  # noqa: E402
from jobs import Runner, Signals  # noqa: E402

KNOWN = ["config", "gpu", "jobs-per-gpu", "max-jobs-run", "mem", "name", "num-nodes", "num-threads", "pick", "time"]


def make_slots(request: launcher.Request, num_jobs: int) -> list[Slot]:
    """Decide how many jobs run at once and which devices each may use.

    Args:
        request: The call.
        num_jobs: Jobs that will run.

    Returns:
        The places.

    Raises:
        UsageError: A job wants more devices than there are.
    """
    limit = request.integer("max-jobs-run", 0, 0)
    num_devices = request.integer("gpu", 0, 0)
    if num_devices == 0:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        default = num_jobs if num_jobs < 1.4 * processors else processors
        return [Slot() for _ in range(limit or default)]
    devices = visible_devices()
    if not devices:
        print("run.py: cannot tell which GPUs there are (nvidia-smi -L); one job at a time", file=sys.stderr)
        return [Slot()]
    if num_devices > len(devices):
        raise launcher.UsageError(
            f"--gpu {num_devices}, but this machine has {len(devices)}: {', '.join(devices)}"
        )
    shared = request.integer("jobs-per-gpu", 1, 1)
    places = len(devices) // num_devices * shared
    return [DeviceSlot(devices, num_devices, shared) for _ in range(min(limit or places, places))]


def main(arguments: list[str]) -> int:
    if arguments in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    try:
        request = launcher.parse_command_line(arguments)
        launcher.refuse_unknown(list(request.options), KNOWN, "of utils/run.py")
        request.integer("num-threads", 1, 1)
        if problem := launcher.require_log_per_job(request):
            print(f"run.py: {problem}", file=sys.stderr)
            return 1
        numbers, failed_before = launcher.pick(request)
        slots = make_slots(request, len(numbers)) if numbers else []
    except launcher.UsageError as error:
        print(
            f"run.py: {error}\nusage: utils/run.py [options] [JOB=1:N] <log> <command> [args ...]",
            file=sys.stderr,
        )
        return launcher.USAGE_STATUS
    signals = Signals()
    codes = Runner(signals).run(request, numbers, slots)
    failed = sorted(failed_before + [number for number, code in codes.items() if code])
    if signals.received:
        print(f"run.py: interrupted, the log is {request.log}", file=sys.stderr)
        return 128 + signals.received
    return launcher.report(request, "run.py", len(request.numbers()), failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
