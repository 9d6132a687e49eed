"""What somebody at a terminal sees of a training that runs in the background of its log."""

import os
import pty
import subprocess
from pathlib import Path

JOBS = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/functions/jobs.sh"
WORK = """
set -euo pipefail
. "$1"
work() {
    echo "2026-01-01 (trainer:1) INFO: train step 7/20 loss=1.5 (3 steps/s)" >> "$1"
    sleep 2.5
    return "$2"
}
if with_progress "$2" work "$2" "$3"; then echo went well; else echo "status $?"; fi
"""


def run_at_terminal(log, status):
    """Standard output, and what the terminal on standard error shows."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        ["bash", "-c", WORK, "bash", str(JOBS), str(log), str(status)],
        stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=30, check=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return done.stdout, shown.decode()


def test_the_newest_step_is_shown_in_place_and_cleared_at_the_end(tmp_path):
    said, shown = run_at_terminal(tmp_path / "train.log", 0)
    assert said == "went well\n"
    assert "step 7/20 loss=1.5 (3 steps/s)" in shown and "\n" not in shown and shown.endswith("\r\033[K")


def test_a_failure_stays_a_failure(tmp_path):
    said, _ = run_at_terminal(tmp_path / "train.log", 3)
    assert said == "status 3\n"


def test_no_terminal_no_progress(tmp_path):
    command = ["bash", "-c", WORK, "bash", str(JOBS), str(tmp_path / "train.log"), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "" and done.stdout == "went well\n"
