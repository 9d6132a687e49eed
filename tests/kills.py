#!/usr/bin/env python3
"""Kill the stages of a small recipe at random moments, run them again, and compare with an undisturbed run.

    python tests/kills.py --kills 200 --seed 0 --output kills.json
    python tests/kills.py --seed 0 --only 37 101                   # two of them again

Every trial takes one stage from what the undisturbed run had made before it: the stage is killed (SIGKILL, SIGINT,
SIGTERM, or a small disk that gets full), looked at, run again without any cleaning up, and compared with the
undisturbed run: tokens, archives, scores and weights bit for bit, no file too few or too many. A stage that had
finished before it was killed does not count, and is tried again at another moment.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "egs"), str(TESTS.parent)]

from killing.compare import CHECKPOINTS, EXCLUDED, RESULTS, TIMES  # noqa: E402
from killing.recipe import STAGES  # noqa: E402
from killing.trial import KINDS, Killer, Trial, why_no_mount  # noqa: E402
from warm_python import WarmPython  # noqa: E402

MOST_ATTEMPTS = 8  # moments tried until one comes before the end


def get_parser() -> argparse.ArgumentParser:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=16, help="kills in all (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="of moments and kinds (default 0)")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="numbers of the kills to do (default all)")
    parser.add_argument("--output", type=Path, help="JSON file for all trials and the table")
    parser.add_argument("--stages", type=int, nargs="+", default=list(STAGES), help="stages to kill (default all)")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="kinds of kills (default all)")
    parser.add_argument("--work", type=Path, help="where to work, kept afterwards (default a temporary directory)")
    return parser


def main() -> int:
    args = get_parser().parse_args()
    # A shell's background jobs ignore SIGINT, and so would all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    numbers = list(range(args.kills)) if args.only is None else args.only
    work = args.work or Path(tempfile.mkdtemp(prefix="kills."))
    work.mkdir(parents=True, exist_ok=True)
    trials: list[Trial] = []
    try:
        with WarmPython() as python:
            killer = Killer(work, python.bin)
            kinds = usable_kinds(args.kinds, killer.recipe.disk)
            planned = [plan(number, args.stages, kinds) for number in numbers]
            for stage in tqdm(range(max(stage for stage, _ in planned) + 1), desc="undisturbed", unit="stage"):
                killer.make_reference(stage)
            for number, (stage, kind) in tqdm(list(zip(numbers, planned)), desc="kills", unit="kill"):
                trials += kill_once(killer, stage, kind, number, args.seed)
                report(args.output, trials, args)
    finally:
        if args.work is None:
            shutil.rmtree(work)
    print(table(trials))
    failed = [trial for trial in trials if trial.problems]
    for trial in failed:
        print(f"\nkill {trial.number}, stage {trial.stage}, {trial.kind}, {trial.moment}:", *trial.problems, sep="\n  ")
    missed = len(numbers) - sum(trial.in_time for trial in trials)
    if missed:
        print(f"\n{missed} kills never came before the end of their stage")
    return 1 if failed or missed else 0


def plan(number: int, stages: list[int], kinds: list[str]) -> tuple[int, str]:
    """Stage and kind of a kill; the kinds move on with every round, so that few kills have all of them too."""
    return stages[number % len(stages)], kinds[(number + number // len(stages)) % len(kinds)]


def usable_kinds(kinds: list[str], where: Path) -> list[str]:
    """The kinds that this machine can do; says which it cannot and why."""
    reason = why_no_mount(where) if "full disk" in kinds else None
    if reason is None:
        return kinds
    print(f"no full disks: {reason}")
    return [kind for kind in kinds if kind != "full disk"]


def kill_once(killer: Killer, stage: int, kind: str, number: int, seed: int) -> list[Trial]:
    """Trials until one comes in time."""
    trials = []
    for attempt in range(MOST_ATTEMPTS):
        trials.append(killer.trial(Trial(number, stage, kind), random.Random(f"{seed} {number} {attempt}")))
        if trials[-1].problems:
            tqdm.write(f"kill {number}, stage {stage}, {kind}, {trials[-1].moment}: {trials[-1].problems}")
        if trials[-1].in_time:
            break
    return trials


def table(trials: list[Trial]) -> str:
    """Trials, those that came in time and those of them that passed, by stage and kind, as Markdown."""
    counts: Counter = Counter()
    for trial in trials:
        for place in ((trial.stage, trial.kind), (trial.stage, "all"), ("all", trial.kind), ("all", "all")):
            counts[place, "trials"] += 1
            counts[place, "killed"] += trial.in_time
            counts[place, "passed"] += trial.in_time and not trial.problems
    kinds = [kind for kind in KINDS if any(trial.kind == kind for trial in trials)] + ["all"]
    lines = ["| stage | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for stage in [*sorted({trial.stage for trial in trials}), "all"]:
        cells = []
        for kind in kinds:
            cells.append(" / ".join(str(counts[(stage, kind), what]) for what in ("trials", "killed", "passed")))
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "trials / killed in time / passed\n\n" + "\n".join(lines)


def report(path: Path | None, trials: list[Trial], args: argparse.Namespace) -> None:
    """Write all that is known so far: a long run can be looked at, and may itself be killed."""
    if path is None:
        return
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=TESTS, capture_output=True, text=True
    )
    not_compared = {
        **EXCLUDED,
        **{f"{pattern}: {', '.join(sorted(fields))}": why for pattern, (fields, why) in TIMES.items()},
        "RESULTS.md": RESULTS,
        "checkpoints": CHECKPOINTS,
    }
    document = {
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "seed": args.seed,
        "not_compared": not_compared,
        "table": table(trials).splitlines(),
        "trials": [asdict(trial) for trial in trials],
    }
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
