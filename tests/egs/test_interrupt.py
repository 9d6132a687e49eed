"""What Ctrl-C and kill do to a recipe that is running."""

import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

DATA = """#!/usr/bin/env bash
sleep 1000 &
echo $$ $! >pids.new
mv pids.new pids
wait
"""


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_nothing_that_a_stage_started_outlives_its_end(checkout, name):
    checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
    recipe = checkout.root / "egs/foo"
    (recipe / "local/data.sh").write_text(DATA)
    with open(recipe / "terminal", "w") as terminal:
        command = ["./run.sh", "--stop-stage", "0"]
        engine = subprocess.Popen(
            command, cwd=recipe, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL, start_new_session=True,
            env=checkout.environment(),
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (recipe / "pids").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    children = [int(word) for word in (recipe / "pids").read_text().split()]
    assert len(children) == 2 and all(map(is_alive, children))
    number = getattr(signal, name)
    os.kill(engine.pid, number)  # to the engine alone: it has to tell the others
    assert engine.wait(timeout=60) == 128 + number
    assert not any(map(is_alive, children))
    lines = (recipe / "terminal").read_text().splitlines()
    assert f"soundstorm.sh: interrupted by {name} in stage 0; run the same command again to go on" in lines


LAST_WORDS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("saving", flush=True))
print(os.getpid(), flush=True)
while True:
    time.sleep(0.1)
"""
STUBBORN = """
set -euo pipefail
. "$1/interrupt.sh"
. "$1/jobs.sh"
launch utils/run.py "" saving.log python3 saving.py &
interruptible python3 saving.py
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
def test_what_saves_is_waited_for_until_ctrl_c_is_pressed_again(repository, tmp_path):
    """What a launcher runs, which kills it and says so in its log, and what runs without one."""
    (tmp_path / "utils").symlink_to(repository / "utils")
    (tmp_path / "saving.py").write_text(LAST_WORDS)
    command = ["bash", "-c", STUBBORN, "engine", str(repository / "egs/TEMPLATE/functions")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    engine = subprocess.Popen(command, cwd=tmp_path, text=True, start_new_session=True, **pipes)
    log = tmp_path / "saving.log"
    try:
        children = [int(engine.stdout.readline())]
        while not log.exists() or not (words := [line for line in log.read_text().splitlines() if line.isdecimal()]):
            time.sleep(0.02)
        children.append(int(words[0]))
        os.killpg(engine.pid, signal.SIGINT)
        told = [engine.stderr.readline() for _ in range(2)]
        assert {line.split(":")[0] for line in told} == {"engine", "run.py"}
        assert all("waiting up to 300 s" in line and "Ctrl-C now kills it at once" in line for line in told)
        assert all(map(is_alive, children)) and "saving" in log.read_text()
        os.killpg(engine.pid, signal.SIGINT)
        _, errors = engine.communicate(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(engine.pid, signal.SIGKILL)
    assert engine.returncode == 130
    assert errors.endswith("engine: interrupted by SIGINT; run the same command again to go on\n")
    assert not any(map(is_alive, children)) and "# Ended (code 137" in log.read_text()


def test_all_who_wait_for_a_checkpoint_wait_as_long(repository):
    places = {
        "utils/jobs.py": r"KILL_AFTER_SECONDS = (\d+)",
        "soundstorm/training/batches.py": r"SECONDS_TO_SAVE = (\d+)",
        "egs/TEMPLATE/functions/interrupt.sh": r"SECONDS_TO_SAVE=(\d+)",
        "egs/TEMPLATE/conf/slurm.conf": r"--signal=B:TERM@(\d+)",
    }
    found = {re.search(pattern, (repository / path).read_text())[1] for path, pattern in places.items()}
    assert found == {"300"}


IN_BACKGROUND = """
set -euo pipefail
. "$1/interrupt.sh"
. "$1/jobs.sh"
nj=2
work() {
    python3 -c 'import os, time; os.write(1, b"%d\\n" % os.getpid()); time.sleep(1000)'  # at once, line by line
}
in_background work
in_background work
finish_background "sleeps"
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_shows_no_python_where_it_was(repository, name):
    """Python that is about to start has no handler of ours yet, so this one has none either."""
    command = ["bash", "-c", IN_BACKGROUND, "engine", str(repository / "egs/TEMPLATE/functions")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    engine = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    try:
        children = [int(engine.stdout.readline()) for _ in range(2)]
        os.killpg(engine.pid, getattr(signal, name))  # as a terminal does
        _, errors = engine.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(engine.pid, signal.SIGKILL)
    assert engine.returncode == 128 + getattr(signal, name)
    assert errors == f"engine: interrupted by {name}; run the same command again to go on\n"
    assert not any(map(is_alive, children))
