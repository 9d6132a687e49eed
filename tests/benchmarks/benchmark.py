#!/usr/bin/env python3
"""Speed of every part, beside soundstorm-pytorch where it is installed and beside what the machine could do.

    python tests/benchmarks/benchmark.py --threads 2 --output speed.json                          # all parts
    python tests/benchmarks/benchmark.py --parts train decode --lengths 10 30 --batches 1 \\
        --peer-python PEER/bin/python --output targets.json                                       # the comparison

Each side works in a process of its own with random weights of the same sizes; the sides take turns, run by run, so that
whatever else the machine does meets all of them. Written are medians, ratios (medians of the ratios of each round),
forward passes, peak memory, and the distance to the roofline: the larger of operations over the measured rate of matrix
products, and bytes over the measured bandwidth, where each weight is read once for each pass (a training step: read
twice, and ten times more by the gradient, its clipping and AdamW).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import tables  # noqa: E402
from sizes import OURS, PEER, Sizes, Work  # noqa: E402

from soundstorm.data.data_dir import write_text  # noqa: E402

PARTS = ("train", "decode", "codec_encode", "codec_decode", "semantic", "text_to_semantic", "audiolm")
COMPARED = ("train", "decode")  # what the peer has
HALVED = ("train", "decode", "text_to_semantic", "audiolm")  # where bf16 is of use: others are measured in fp32 only
TRAIN = (8, 5.0)
STUDIED_SECONDS = 5.0  # AudioLM takes thousands of passes: they are counted in detail up to here


def get_parser() -> argparse.ArgumentParser:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="what to time (default all)")
    parser.add_argument("--lengths", nargs="+", type=float, default=[5, 10, 20, 30], help="seconds of audio")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="utterances at a time")
    parser.add_argument("--precisions", nargs="+", default=["no", "bf16"], choices=["no", "bf16"], help="no is fp32")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of ours (default cpu)")
    parser.add_argument("--compiled", nargs="+", default=[""], choices=["", "blocks", "graphs"],
                        help="train and decode with compiled blocks, with CUDA graphs too; '' is as they are")
    parser.add_argument("--train-shape", nargs=2, type=float, default=TRAIN, metavar=("BATCH", "SECONDS"),
                        help="of the training step, whatever --lengths and --batches (default 8 crops of 5 s)")
    parser.add_argument("--threads", type=int, default=1, help="of each side (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, after one to warm up (default 5)")
    parser.add_argument("--most-seconds", type=float, default=60.0, help="begin no round of a case after so long")
    parser.add_argument("--peer-python", help="Python of an environment with soundstorm-pytorch 0.6.1, see README.md")
    parser.add_argument("--peer-styles", nargs="+", default=["plain", "default"], choices=["plain", "default"])
    parser.add_argument("--peer-precisions", nargs="+", default=["no"], choices=["no", "bf16"])
    parser.add_argument("--no-study", action="store_true", help="leave out the counts of operations and their kinds")
    parser.add_argument("--sizes", type=json.loads, default={}, help='JSON, e.g. \'{"width": 64}\'; see sizes.py')
    parser.add_argument("--note", default="", help="what else the machine does, for the record")
    parser.add_argument("--output", type=Path, help="JSON file; the table goes to stdout, and beside it as .md")
    return parser


class Worker:
    """A process that answers commands."""

    def __init__(self, python: str, threads: int, program: str = "worker.py"):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE.parent.parent)}
        self.process = subprocess.Popen(
            [python, str(HERE / program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def ask(self, **command) -> dict:
        """One command, and its answer.

        Raises:
            RuntimeError: the process failed.
        """
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"the process ended with status {self.process.wait()}"}
        if "error" in answer:
            raise RuntimeError(f"{' '.join(map(str, self.process.args))}, asked for {command}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def plan(args: argparse.Namespace) -> list[list[Work]]:
    """What to measure: groups of works that take turns, ours first."""
    sizes, groups = Sizes(**args.sizes), []
    for part in args.parts:
        crops, crop_seconds = args.train_shape
        shapes = [(int(crops), crop_seconds)] if part == "train" else list(product(args.batches, args.lengths))
        styles = args.peer_styles if part in COMPARED else ["plain"]
        for batch, seconds in shapes:
            for style in styles:
                work = Work(
                    part, seconds, batch, style=style, sizes=sizes, threads=args.threads, device=args.device
                )
                precisions = [p for p in args.precisions if p == "no" or part in HALVED]
                ways = product(precisions, args.compiled if part in COMPARED else [""])
                group = [replace(work, precision=precision, compiled=way) for precision, way in ways]
                if args.peer_python and part in COMPARED:
                    group += [replace(work, side=PEER, precision=precision) for precision in args.peer_precisions]
                if group:
                    groups.append(group)
    return groups


def measure(group: list[Work], args: argparse.Namespace) -> list[dict]:
    """Time the works of a group in turn; one entry each."""
    workers = [Worker(sys.executable if work.side == OURS else args.peer_python, args.threads) for work in group]
    try:
        entries = []
        for work, worker in zip(group, workers, strict=True):
            built = worker.ask(do="build", work=work.as_dict())
            entries.append({"work": work.as_dict(), **built, "rounds": []})
        start = time.perf_counter()
        while len(entries[0]["rounds"]) < args.repeats:
            for entry, worker in zip(entries, workers, strict=True):
                taken = worker.ask(do="run")
                entry["rounds"].append(taken["seconds"])
                entry["peak_bytes"] = max(entry["peak_bytes"], taken["peak_bytes"])
            if time.perf_counter() - start > args.most_seconds:
                break
        for entry, work, worker in zip(entries, group, workers, strict=True):
            entry["median"] = statistics.median(entry["rounds"])
            if not args.no_study and work.side == OURS and not work.compiled and not (
                work.part == "audiolm" and work.seconds > STUDIED_SECONDS
            ):
                entry |= worker.ask(do="study")
        for entry, work in zip(entries, group, strict=True):
            same = next((e for e, other in zip(entries, group) if other == replace(work, compiled="")), entry)
            # Compiled code does the same operations, where nobody sees them.
            entry |= {name: same[name] for name in ("passes", "flops") if name in same}
        peers = [entry for entry in entries if entry["work"]["side"] == PEER]
        for entry in entries:
            if peers and entry not in peers:
                ratios = [theirs / mine for theirs, mine in zip(peers[0]["rounds"], entry["rounds"])]
                entry["faster_than_peer"] = statistics.median(ratios)
                entry["memory_of_peer"] = entry["peak_bytes"] / max(1, peers[0]["peak_bytes"])
        return entries
    finally:
        for worker in workers:
            worker.close()


def conditions(args: argparse.Namespace) -> dict:
    """Where and how it was measured."""
    worker = Worker(sys.executable, args.threads)
    rates = worker.ask(do="rates", threads=args.threads, device=args.device)
    worker.close()
    return {
        "command": shlex.join(["python", "tests/benchmarks/benchmark.py", *sys.argv[1:]]),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": processor() + (f", {rates.pop('name')}" if "name" in rates else ""),
        "threads": args.threads,
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "note": args.note,
        "rates": rates,
    }


def commit() -> str:
    """Of the repository that this is in."""
    git = ["git", "-C", str(HERE)]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return (found or "unknown") + (" with local changes" if changed else "")


def processor() -> str:
    """Name of the CPU, its cores, and what matters here of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{len(names)} cores of {names[0] if names else platform.machine()} ({', '.join(known)})"


def main() -> int:
    """Measure, print, write."""
    args = get_parser().parse_args()
    if min(args.repeats, args.threads, *args.batches) < 1 or min(args.lengths) <= 0:
        raise SystemExit("benchmark.py: --repeats, --threads, --batches and --lengths must be above 0")
    content = {"conditions": conditions(args), "entries": []}
    groups = plan(args)
    for number, group in enumerate(groups, start=1):
        work = group[0]
        print(f"{number}/{len(groups)} {work.part} {work.seconds:g} s x {work.batch} {work.style}", file=sys.stderr)
        content["entries"] += measure(group, args)
        if args.output:  # what is done is kept, should it be stopped
            write_text(args.output, json.dumps(content, indent=1) + "\n")
    text = tables.markdown(content)
    print(text)
    if args.output:
        write_text(args.output.with_suffix(".md"), text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        sys.exit(f"benchmark.py: {' '.join(str(error).split())}")
