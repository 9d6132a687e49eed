#!/usr/bin/env python3
"""What a GPU shows of this repository in under eight minutes: tests, speed at the paper's sizes, a recipe.

    tools/gpu_check.sh --output gpu_check.json     # on a machine with a GPU
    tools/gpu_check.sh --dry                       # everything on the CPU at toy size: does the check itself work?

Needs nothing but the repository and its environment. Each part ends by a limit of its own and stands in the
JSON file with its status, seconds and the end of what it said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

import tables  # noqa: E402
from sizes import PAPER  # noqa: E402

TOY = {"width": 32, "layers": 1, "heads": 2, "inner": 64, "levels": 3, "codebook": 16, "semantic": 10}
LIMITS = {"tests": 130, "speed": 180, "recipe": 150}  # seconds; 460 in all


def get_parser() -> argparse.ArgumentParser:
    """Options of the program."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("gpu_check.sh", description=__doc__, formatter_class=style)
    parser.add_argument("--dry", action="store_true", help="on the CPU at toy size, without the recipe")
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS), help="(default all)")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"), help="JSON file to write")
    return parser


def commands(dry: bool, speed: Path) -> dict[str, list[str]]:
    """The command of each part, run from the repository's root."""
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    measure = [sys.executable, str(HERE / "benchmark.py"), "--parts", "train", "decode"]
    measure += ["--peer-styles", "default", "--batches", "1", "--output", str(speed), "--compiled", "", "blocks"]
    if dry:
        chosen = "waits_are_counted or refused_beside or parallel_decoding"
        return {
            "tests": [*test, "tests/test_accelerators.py", "-k", chosen],
            "speed": [*measure, "--sizes", json.dumps(TOY), "--precisions", "no", "--lengths", "0.4",
                      "--train-shape", "2", "0.4", "--repeats", "2"],
        }  # fmt: skip
    return {
        "tests": [*test, "-m", "gpu", "tests"],
        "speed": [*measure, "graphs", "--device", "cuda", "--sizes", json.dumps(PAPER), "--precisions",
                  "bf16", "--lengths", "30", "--train-shape", "8", "30", "--repeats", "5",
                  "--most-seconds", "15"],
        "recipe": ["egs/mini/run_small.sh", "--ngpu", "1", "--nj", str(min(8, os.cpu_count() or 1)),
                   "--dumpdir", "dump_gpu_check", "--expdir", "exp_gpu_check"],
    }  # fmt: skip


def run_part(command: list[str], limit: float) -> dict:
    """One part to its end or its limit in seconds; what it said is kept."""
    start = time.monotonic()
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipe)
    try:
        said, _ = process.communicate(timeout=limit)
        status = "done" if process.returncode == 0 else f"failed with status {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 15)  # with what it has started
        said, _ = process.communicate()
        status = f"not finished after {limit:g} s"
    seconds = time.monotonic() - start
    return {"status": status, "seconds": round(seconds, 1), "command": command, "end": said.splitlines()[-15:]}


def table(parts: dict[str, dict], speed: dict | None) -> str:
    """For people, and for RESULTS.md."""
    lines = ["| part | status | seconds |", "|---|---|---:|"]
    lines += [f"| {name} | {part['status']} | {part['seconds']:.0f} |" for name, part in parts.items()]
    return "\n".join(lines) + "\n" + (f"\n{tables.markdown(speed)}" if speed and speed["entries"] else "")


def main(argv: list[str] | None = None) -> int:
    """Run, print, write."""
    args = get_parser().parse_args(argv)
    import torch

    if not args.dry and not torch.cuda.is_available():
        raise SystemExit("gpu_check.sh: torch sees no GPU here; --dry tries the check itself on the CPU")
    parts, speed = {}, None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speed.json"
        for name, command in commands(args.dry, file).items():
            if name not in args.parts:
                continue
            for place in ("dump_gpu_check", "exp_gpu_check") if name == "recipe" else ():
                shutil.rmtree(ROOT / "egs/mini" / place, ignore_errors=True)  # of an earlier check
            # A dry run says whether the check works, however busy the machine is.
            limit = LIMITS[name] * (10 if args.dry else 1)
            print(f"{name}, at most {limit} s", file=sys.stderr, flush=True)
            parts[name] = run_part(command, limit)
            if parts[name]["status"] != "done":
                print("\n".join(parts[name]["end"]), file=sys.stderr)
            if file.exists():
                speed = json.loads(file.read_text(encoding="utf-8"))
    device = "cpu" if args.dry else torch.cuda.get_device_name()
    content = {"device": device, "dry": args.dry, "parts": parts, "speed": speed}
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    print(table(parts, speed))
    return 0 if all(part["status"] == "done" for part in parts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
