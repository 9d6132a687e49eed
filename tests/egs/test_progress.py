"""What somebody at a terminal sees of jobs that run in the background of their logs."""

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
    until [ -e seen ]; do sleep 0.02; done
    : seen
    return "$2"
}
if with_progress "$2" work "$2" "$3"; then echo went well; else echo "status $?"; fi
"""
SIDE_BY_SIDE = """
set -euo pipefail
. "$1"
nj=2
both() {
    watched JOB=1:2 many.JOB.log eval 'echo > many.1.log
        echo "x INFO: a.12: 30 of 60 utterances" > many.2.log
        until [ -e seen ]; do sleep 0.02; done'
}
in_background both
in_background watched "" "$2" eval 'echo "train step 7/20 loss=1.5 (3 steps/s)" > "$2"
    until [ -e seen ]; do sleep 0.02; done'
finish_background "jobs"
"""


def run_at_terminal(log, status, *, script=WORK, until=("loss=1.5",)):
    """Standard output, and what the terminal on standard error shows; the job ends when that is seen."""
    ours, theirs = pty.openpty()
    command = ["bash", "-c", script, "bash", str(JOBS), str(log), str(status)]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=log.parent)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
            if all(words.encode() in shown for words in until):
                (log.parent / "seen").touch()
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    said, _ = job.communicate(timeout=30)
    assert job.returncode == 0, shown
    return said, shown.decode()


def test_the_newest_step_is_shown_in_place_and_cleared_at_the_end(tmp_path):
    said, shown = run_at_terminal(tmp_path / "train.log", 0)
    assert said == "went well\n"
    assert "step 7/20 loss=1.5 (3 steps/s)" in shown and "\n" not in shown and shown.endswith("\r\033[K")


def test_a_failure_stays_a_failure(tmp_path):
    said, _ = run_at_terminal(tmp_path / "train.log", 3)
    assert said == "status 3\n"


def test_jobs_side_by_side_have_a_line_each(tmp_path):
    until = ("30 of 60 utterances", "loss=1.5", "running for")
    _, shown = run_at_terminal(tmp_path / "train.log", 0, script=SIDE_BY_SIDE, until=until)
    assert "many.2 [#####.....] 30 of 60 utterances" in shown
    assert "train [####......] step 7/20 loss=1.5 (3 steps/s), 0:04 left" in shown
    assert "many.1" in shown and shown.endswith("\r\033[K")


def test_no_terminal_no_progress(tmp_path):
    (tmp_path / "seen").touch()
    command = ["bash", "-c", WORK, "bash", str(JOBS), str(tmp_path / "train.log"), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=tmp_path)
    assert done.stderr == "" and done.stdout == "went well\n"


def test_what_is_not_normal_is_said_once_and_as_soon_as_the_log_has_it(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("2026-01-01 (normal_losses:9) WARNING: not normal: of an earlier run\n")
    script = WORK.replace("INFO: train", "WARNING: not normal: loss").replace(
        ": seen", 'echo "seen before" >&2; echo "x WARNING: not normal: the end" >> "$1"'
    )
    command = ["bash", "-c", script, "bash", str(JOBS), str(log), "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    job = subprocess.Popen(command, text=True, cwd=tmp_path, **pipes)
    first = job.stderr.readline()
    (tmp_path / "seen").touch()
    stdout, rest = job.communicate(timeout=30)
    said = "    not normal: loss step 7/20 loss=1.5 (3 steps/s)\nseen before\n    not normal: the end\n"
    assert first + rest == said and stdout == "went well\n" and job.returncode == 0
