#!/usr/bin/env python3
"""Feed damaged files to every command that reads them, and look for anything but a clear refusal.

usage: python tests/fuzz.py --cases 500 --seed 0 --output fuzz.json
   or: python tests/fuzz.py --cases 200 --kind requests
   or: python tests/fuzz.py --seed 0 --case 17

A case damages one file of a small recipe directory (tests/fuzzing/inputs.py) and runs one command on it. It passes if
the command succeeds (the damage does not matter to it) or refuses with a message that names the file or the setting.
It fails on a traceback, a crash, a hang, a huge allocation, a message that does not say where, and on anything that
data must not bring about: a command, a network connection, unpickling, a write outside the case's folder. The exit
status is 1 if any case failed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.fuzzing import guard, inputs  # noqa: E402
from tests.fuzzing.commands import COMMANDS, Command, load, prepare, readers  # noqa: E402
from tests.fuzzing.mutations import CANARY, mutations_of  # noqa: E402

ACCEPTED, REFUSED, FAILED = "accepted", "refused", "FAILED"
CASE_SECONDS = 20.0  # of computing
SILENT_SECONDS = 1800.0  # after which a worker without a word is dead
KINDS = {
    "archives": r"(data|dump)/(semantic|acoustic)(\.1)?\.(ark|scp|json)",
    "tables": r"(data|segmented)/(wav\.scp|utt2spk|spk2utt|utt2dur|text|segments|phones\.ctm)",
    "configurations": r"conf/.*\.yaml|decode\.yaml",
    "experiments": r".*/config\.yaml|pack\.json",
    "checkpoints": r".*/checkpoints/step-00000001/.*|.*/metrics\.jsonl",
    "weights": r"[a-z_]+/(model|centroids)\.safetensors|kmeans/kmeans\.json|hubert/.*\.json",
    "audio": r"wav/.*",
    "requests": r"requests/.*",
    "exports": r"exported/.*",
    "results": r"score/.*|decode/[a-z]*\.json|decode/wav\.scp|timing\.tsv|script\.txt",
}  # in this order; the first that fits a path is its kind


@dataclass
class Outcome:
    """What became of one case."""

    case: int
    kind: str
    path: str  # of the damaged file
    mutation: str
    command: str
    result: str
    message: str


def choose(seed: int, case: int, files: list[str]) -> tuple[Random, str, str, Command]:
    """Kind, file and command of a case, and the generator that damages the file.

    Cases below 0 are the commands one after the other, on inputs that nobody damaged.
    """
    rng = Random(f"{seed} {case}")
    if case < 0:
        command = COMMANDS[case]
        return rng, "undamaged", next(path for path in files if command.reads_file(path)), command
    by_kind: dict[str, list[str]] = {}
    for path in files:
        kind = next((name for name, pattern in KINDS.items() if re.fullmatch(pattern, path)), None)
        if kind is not None and readers(path):
            by_kind.setdefault(kind, []).append(path)
    kind = list(KINDS)[case % len(KINDS)]
    path = rng.choice(by_kind[kind])
    return rng, kind, path, rng.choice(readers(path))


def cases_of(kind: str, count: int) -> list[int]:
    """Numbers of the first cases that damage files of a kind."""
    return [list(KINDS).index(kind) + len(KINDS) * number for number in range(count)]


def undamaged(data: bytes, rng: Random) -> bytes:
    """No mutation."""
    return data


def run_case(seed: int, case: int, valid: Path, root: Path, watch: guard.Guard) -> Outcome:
    """Damage one file of a copy of the inputs and run one command on it.

    Args:
        seed: Of the cases.
        case: Number of this one.
        valid: The inputs.
        root: An empty folder.
        watch: The guard.
    """
    rng, kind, path, command = choose(seed, case, sorted(inputs.describe(valid)))
    mutate = rng.choice(mutations_of(path)) if case >= 0 else undamaged
    folder = root / "case"
    shutil.copytree(valid, folder)
    prepare(command, folder)
    before = (folder / path).read_bytes()
    (folder / path).write_bytes(mutate(before, rng))
    os.chdir(folder)
    watch.start(folder)
    try:
        result, message = run_command(command)
    finally:
        acts = watch.stop()
        os.chdir(valid)
    if (folder / CANARY).exists() or {entry.name for entry in root.iterdir()} != {"case"}:
        acts.append(f"made {sorted(entry.name for entry in root.iterdir())} or {CANARY}")
    if acts:
        result, message = FAILED, "; ".join(acts)
    elif result != ACCEPTED and case < 0:
        result = FAILED
    elif result == REFUSED and not says_where(message, path, kind):
        result, message = FAILED, f"unclear: {message}"
    shutil.rmtree(root)
    return Outcome(case, kind, path, mutate.__name__, f"{command.name} {command.arguments}", result, message)


def run_command(command: Command) -> tuple[str, str]:
    """Run a command in this process; the result and its last words."""
    stream = io.StringIO()
    code: object = 0
    quiet = contextlib.redirect_stdout(io.StringIO())
    try:
        with guard.TimeLimit(CASE_SECONDS), contextlib.redirect_stderr(stream), quiet:
            load(command)()
    except SystemExit as end:
        code = end.code
    except guard.Hang:
        return FAILED, f"hang: more than {CASE_SECONDS:g} s"
    except BaseException as error:  # noqa: BLE001  a traceback is what we look for
        return FAILED, "traceback: " + "".join(traceback.format_exception(error, limit=-3))[-1500:]
    text = stream.getvalue()
    if "Traceback" in text:
        return FAILED, f"traceback: {text[-1500:]}"
    if code in (0, None):
        return ACCEPTED, ""
    said = [line for line in text.splitlines() if not re.match(r"\d{4}-\d\d-\d\d .*(INFO|WARNING)", line)]
    return REFUSED, "\n".join(said)[-2000:]


def says_where(message: str, path: str, kind: str) -> bool:
    """Whether a message names the damaged file, its folder or an option of the configuration."""
    if re.search(r"can't allocate memory|not enough memory|overflowed", message):
        return kind == "configurations"  # more than the machine has was asked for
    place = Path(path)
    stems = {place.name, str(place.parent), *({place.stem} if kind in ("archives", "audio") else ())}
    if kind == "tables":
        stems |= {"utt2spk", "spk2utt", "text", "segments", "wav.scp", "utt2dur", "phones.ctm"}  # which must agree
    if any(stem in message for stem in stems):
        return True
    if kind == "requests":  # to the page or on a command line: a field, an option or a header
        words = r"text|words|prompts?|script|seed|iterations|temperature|consent|agreement|request|page|method"
        return re.search(rf"--[a-z]+|Content-Length|\b({words})\b|option|model|pack", message) is not None
    return kind == "configurations" and re.search(r"\b[a-z]+\.[a-z_]+\b", message) is not None


# -- workers -------------------------------------------------------------------------------------------------------


def work(seed: int, cases: list[int], valid: Path) -> None:
    """Run cases, writing a line of JSON before and after each, so that a crash can be told."""
    out = os.fdopen(os.dup(1), "w")
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        os.environ.update(TORCHINDUCTOR_CACHE_DIR=str(cache), MPLCONFIGDIR=str(cache))
        watch = guard.Guard(cache)
        for position, case in enumerate(cases):
            print(json.dumps({"case": case}), file=out, flush=True)
            root = Path(folder) / f"r{case}"
            root.mkdir()
            if case >= 0 and position in (1, len(COMMANDS)):
                guard.limit_memory()  # the undamaged cases have imported everything
            print(json.dumps(asdict(run_case(seed, case, valid, root, watch))), file=out, flush=True)


def run_cases(seed: int, cases: list[int], valid: Path, say=print) -> list[Outcome]:
    """Run cases in worker processes; one that crashes or falls silent fails its case, and another goes on."""
    outcomes: list[Outcome] = []
    left = list(cases)
    while left:
        command = [sys.executable, __file__, "--seed", str(seed), "--inputs", str(valid), "--worker"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        environment.pop("HF_HUB_OFFLINE", None)  # it would hide what we look for
        worker = subprocess.Popen(
            [*command, *map(str, left)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment
        )
        running: int | None = None
        while select.select([worker.stdout], [], [], SILENT_SECONDS)[0] and (line := worker.stdout.readline()):
            found = json.loads(line)
            running = found["case"]
            if "result" in found:
                outcomes.append(Outcome(**found))
                left.remove(running)
                running = None
                if outcomes[-1].result == FAILED:
                    say("case {case}: {path} ({mutation}), {command}\n  {message}".format(**found))
        worker.kill()
        status = worker.wait()
        if left and running is None:
            raise RuntimeError(f"the worker ended with status {status} outside any case")
        if left:
            outcomes.append(Outcome(running, "-", "-", "-", "-", FAILED, f"crash or silence, status {status}"))
            say(f"case {running}: crash or silence, status {status}")
            left.remove(running)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """Counts for each kind of input, as Markdown."""
    counts = Counter((outcome.kind, outcome.result) for outcome in outcomes)
    lines = ["| input | cases | accepted | refused | failed |", "|---|---:|---:|---:|---:|"]
    for kind in ["undamaged", *KINDS, "-"]:
        row = [counts[kind, result] for result in (ACCEPTED, REFUSED, FAILED)]
        if sum(row):
            lines.append(f"| {kind} | {sum(row)} | {row[0]} | {row[1]} | {row[2]} |")
    row = [sum(counts[kind, result] for kind in ["undamaged", *KINDS, "-"]) for result in (ACCEPTED, REFUSED, FAILED)]
    return "\n".join([*lines, f"| all | {sum(row)} | {row[0]} | {row[1]} | {row[2]} |"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--kind", choices=KINDS, help="of the files that are damaged; all by default")
    parser.add_argument("--case", type=int, action="append", help="run this case only; repeatable")
    parser.add_argument("--inputs", type=Path, help="folder of valid inputs; made there if it does not exist")
    parser.add_argument("--output", type=Path, help="JSON file with every outcome")
    parser.add_argument("--worker", type=int, nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.seed, args.worker, args.inputs.resolve())
        return 0
    with tempfile.TemporaryDirectory() as folder:
        valid = (args.inputs or Path(folder) / "inputs").resolve()
        if not valid.exists():
            subprocess.run(
                [sys.executable, inputs.__file__, str(valid)],
                check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        cases = list(range(-len(COMMANDS), args.cases)) if args.kind is None else cases_of(args.kind, args.cases)
        outcomes = run_cases(args.seed, args.case or cases, valid)
    print(table(outcomes))
    if args.output:
        record = {"seed": args.seed, "outcomes": [asdict(outcome) for outcome in outcomes]}
        args.output.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(outcome.result == FAILED for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
