"""Pace of a training beside other busy processes, by the settings of OpenMP's waiting: a Markdown table.

The training is real: a command with `{expdir}` for where it writes, and steps enough to log its pace twice or more
(the first figure has the start in it and is left out). Settings take turns, so that other work on the machine meets
all of them.

    cd egs/mini && python ../../tests/benchmarks/busy_machine.py --repeats 3 -- \\
        python3 -m soundstorm.bin.train_soundstorm --config conf/train_soundstorm.yaml --train-data data/train \\
        --valid-data data/dev --codec exp/codec --expdir {expdir} --training.max-steps 60 --training.log-every 20
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

SETTINGS = {
    "libgomp's default": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=3000": {"GOMP_SPINCOUNT": "3000"},
    "GOMP_SPINCOUNT=30000": {"GOMP_SPINCOUNT": "30000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
NEIGHBOUR = "import numpy as np\na = np.ones((300, 300))\nwhile True: a @ a"
PACE = re.compile(r"train step .*\(([0-9.]+) steps/s")


@contextmanager
def busy_neighbours(number: int):
    """Other processes that compute all the time, each on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    running = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR], env=environment) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def steps_per_second(command: list[str], setting: dict[str, str], threads: int) -> float:
    """Median pace that one run of the training logs, its first figure left out."""
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    environment |= {"OMP_NUM_THREADS": str(threads), **setting}
    with tempfile.TemporaryDirectory() as folder:
        words = [word.replace("{expdir}", str(Path(folder) / "exp")) for word in command]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    paces = [float(pace) for pace in PACE.findall(done.stdout + done.stderr)]
    if done.returncode or len(paces) < 2:
        print(done.stderr[-2000:], file=sys.stderr)
        raise SystemExit(f"{' '.join(words)} ended with status {done.returncode} and {len(paces)} paces in its log")
    return statistics.median(paces[1:])


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 2, 3], help="busy processes beside it")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each setting; the table has their medians")
    parser.add_argument("--threads", type=int, default=2, help="of the training")
    parser.add_argument("command", nargs="+", help="the training, after --, with {expdir} where it writes")
    args = parser.parse_args(argv)
    found: dict[str, dict[int, float]] = {name: {} for name in SETTINGS}
    for number in args.neighbours:
        paces: dict[str, list[float]] = {name: [] for name in SETTINGS}
        with busy_neighbours(number):
            for _ in range(args.repeats):
                for name, setting in SETTINGS.items():
                    paces[name].append(steps_per_second(args.command, setting, args.threads))
                    print(f"{number} beside it, {name}: {paces[name][-1]:.2f} steps/s", file=sys.stderr, flush=True)
        for name, values in paces.items():
            found[name][number] = statistics.median(values)
    print("| steps/s beside | " + " | ".join(f"{number} busy" for number in args.neighbours) + " |")
    print("|---|" + "---:|" * len(args.neighbours))
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(f"{row[number]:.2f}" for number in args.neighbours) + " |")


if __name__ == "__main__":
    main()
