#!/usr/bin/env python3
"""What run.py and slurm.py share: their command line, what a log says, and the final report.

    launcher.py <spec.json> <job number>

runs one job of an array that slurm.py described in a file: the same code runs a job here and on a cluster, so
that the logs are the same. A log opens with the exact command and closes with how it ended:

    # <command>
    # Running on <host>
    # Started at <date>
    #
    <output>
    # Accounting: time=<seconds> threads=<threads>
    # Ended (code <n>) at <date>, elapsed time <s> seconds
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # where PYTHONSAFEPATH is set, too

from devices import Slot  # noqa: E402
from jobs import Runner, Signals  # noqa: E402

LOG_END_BYTES = 1 << 16
USAGE_STATUS = 255  # of run.pl, whose scripts tell it from failed jobs by it
ENDED = re.compile(rb"^# Ended \(code (-?[0-9]+)", re.MULTILINE)
RANGE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([0-9]+)(?::([0-9]+))?")
PICKS = {"all": {"failed", "incomplete"}, "failed": {"failed", "incomplete"}, "incomplete": {"incomplete"}}


class UsageError(ValueError):
    """The command line cannot be understood."""


@dataclass
class Request:
    """One call of a launcher.

    Attributes:
        log: Path of the log, with `name` in it where there are several jobs.
        command: What bash runs, before substitution.
        name: The word that each job's number replaces, empty where there is no range.
        first: Number of the first job.
        last: Number of the last job.
        options: Double-dash options by name; given twice, the last counts.
        passed: Single-dash options and their values, which only a cluster's own tools understand.
    """

    log: str = ""
    command: str = ""
    name: str = ""
    first: int = 1
    last: int = 1
    options: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)

    def numbers(self) -> range:
        return range(self.first, self.last + 1)

    def log_of(self, number: int) -> Path:
        return Path(self.log.replace(self.name, str(number)) if self.name else self.log)

    def command_of(self, number: int) -> str:
        return self.command.replace(self.name, str(number)) if self.name else self.command

    def integer(self, option: str, default: int, least: int) -> int:
        """Read an option that is a whole number not below `least`."""
        value = self.options.get(option, str(default))
        if not re.fullmatch("[0-9]+", value) or int(value) < least:
            raise UsageError(f"option --{option} needs a whole number of at least {least}, got {value!r}")
        return int(value)


def quote(argument: str) -> str:
    """Make one argument part of a bash command: live syntax without white space, literal with it."""
    return shlex.quote(argument) if not argument or re.search(r"\s", argument) else argument


def parse_command_line(arguments: list[str]) -> Request:
    """Read `[options] [JOB=1:N] <log> <command> [args ...]`.

    Args:
        arguments: The command line without the script's name.

    Returns:
        The request.

    Raises:
        UsageError: What is wrong with it.
    """
    request, rest = Request(), list(arguments)
    while rest:
        word = rest[0]
        if word.startswith("-") and word != "-":
            _take_option(request, rest)
        elif match := RANGE.fullmatch(word):
            if request.name:
                raise UsageError(f"there is a second job range {word}; one is enough")
            request.name, request.first = match[1], int(match[2])
            request.last = int(match[3] or match[2])
            if not 1 <= request.first <= request.last:
                raise UsageError(f"job range {word} is not {match[1]}=s:e with 1 <= s <= e")
            del rest[0]
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=-?[0-9]*:-?[0-9]*", word):
            raise UsageError(f"job range {word} is not {word.split('=')[0]}=s:e with 1 <= s <= e")
        else:
            break
    if len(rest) < 2:
        raise UsageError(
            "expected a log and a command" if not rest else f"no command after the log {rest[0]}"
        )
    request.log, request.command = rest[0], " ".join(map(quote, rest[1:]))
    return request


def _take_option(request: Request, rest: list[str]) -> None:
    """Move one option and its values from the front of `rest` into the request."""
    option = rest.pop(0)
    count = {"-V": 0, "-pe": 2}.get(option, 1)
    if len(rest) < count:
        raise UsageError(f"option {option} needs {'a value' if count == 1 else f'{count} values'}")
    values = [rest.pop(0) for _ in range(count)]
    if option in ("-tc", "--max-jobs-run"):
        if not re.fullmatch("[0-9]+", values[0]) or int(values[0]) < 1:
            raise UsageError(f"option {option} needs a positive whole number, got {values[0]!r}")
        smallest = min(int(values[0]), int(request.options.get("max-jobs-run", values[0])))
        request.options["max-jobs-run"] = str(smallest)
    elif option.startswith("--"):
        if option == "--pick" and values[0] not in PICKS:
            raise UsageError(f"option --pick takes {', '.join(PICKS)}, got {values[0]!r}")
        request.options[option[2:]] = values[0]
    else:
        request.passed += [option, *values]


def refuse_unknown(options: list[str], known: list[str], where: str) -> None:
    """Raise a UsageError that names the nearest known option, if one of the options is not known."""
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"; did you mean --{near[0]}?" if near else f"; known are --{', --'.join(sorted(known))}"
            raise UsageError(f"unknown option --{option} ({where}){hint}")


def log_state(log: Path) -> str:
    """Tell from its log how a job ended: "done", "failed", or "incomplete" where the log does not say."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_END_BYTES))
            ended = ENDED.findall(file.read())
    except OSError:
        return "incomplete"
    if not ended:
        return "incomplete"
    return "done" if int(ended[-1]) == 0 else "failed"


def pick(request: Request) -> tuple[list[int], list[int]]:
    """Choose the jobs that --pick wants run.

    Args:
        request: The call.

    Returns:
        The numbers to run, and those that failed before and are left alone.
    """
    if "pick" not in request.options:
        return list(request.numbers()), []
    states = {number: log_state(request.log_of(number)) for number in request.numbers()}
    wanted = PICKS[request.options["pick"]]
    run = [number for number, state in states.items() if state in wanted]
    return run, [number for number, state in states.items() if state == "failed" and number not in run]


def require_log_per_job(request: Request) -> str:
    """Say what is wrong where several jobs would write one log; empty where all is well."""
    if request.last > request.first and request.name not in request.log:
        return (
            f"{request.last - request.first + 1} jobs would write one log: {request.log} lacks {request.name}"
        )
    return ""


def report(request: Request, script: str, num_run: int, failed: list[int]) -> int:
    """Say on stderr which jobs failed and show the end of the first one's log.

    Args:
        request: The call.
        script: Name of the launcher.
        num_run: Jobs in all.
        failed: Numbers of the failed ones.

    Returns:
        The exit status.
    """
    if not failed:
        return 0
    if sys.stderr.isatty():
        print("\r\033[J", end="", file=sys.stderr)  # takes the place of what progress.py shows
    if num_run == 1:
        print(f"{script}: job failed, log is in {request.log_of(failed[0])}", file=sys.stderr)
    else:
        pattern = request.log.replace(request.name, "*")
        print(f"{script}: {len(failed)} / {num_run} failed, log is in {pattern}", file=sys.stderr)
    if not request.name and "JOB" in request.log + request.command:
        print(
            f"{script}: the command has the word JOB but no range; was JOB=1:$nj forgotten?", file=sys.stderr
        )
    first = request.log_of(failed[0])
    if first.is_file():
        lines = first.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        print(f"{script}: the end of {first}:", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)
    else:
        print(f"{script}: there is no {first}", file=sys.stderr)
    return 1


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(f"usage: launcher.py <spec.json> <job number>, got {len(arguments)} arguments", file=sys.stderr)
        return USAGE_STATUS
    request = Request(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    number = int(arguments[1])
    signals = Signals()
    code = Runner(signals, own_groups=False).run(request, [number], [Slot()]).get(number, 1)
    return 128 + signals.received if signals.received else code


def write_spec(request: Request, path: Path) -> None:
    """Write the request where a job on another machine finds it."""
    path.write_text(json.dumps(asdict(request), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
