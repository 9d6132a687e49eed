"""What Ctrl-C and kill do to a recipe that is running."""

import os
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
            command, cwd=recipe, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL, start_new_session=True
        )
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
