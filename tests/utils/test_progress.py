"""Which logs belong to running jobs, and what is said of them where nobody watches; terminals: tests/egs."""

import subprocess
import sys

import pytest

from .conftest import UTILS

STEP = (
    "x INFO: train step {}/1500 accuracy=0.1 loss=4.859 loss/level0=4 (5.00 steps/s, 1% waiting for data)\n"
)


@pytest.fixture
def progress(monkeypatch):
    monkeypatch.syspath_prepend(str(UTILS))
    import progress

    return progress


def test_without_a_terminal_there_is_a_line_a_minute(progress, tmp_path, monkeypatch, capfd):
    (tmp_path / "log").mkdir()
    for job in range(1, 11):
        (tmp_path / f"log/many.{job}.log").write_text("# Started at noon\n")
    (tmp_path / "log/train.log").write_text(STEP.format(600) + "x INFO: valid step 600/1500 loss=4.1\n")
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    following = progress.Progress(terminal=False)
    following.follow(f"\t{tmp_path}/log/train.log\n")
    following.look()
    assert capfd.readouterr().err == ""
    now[0] += 61
    following.look()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(f"INFO: {tmp_path}/train: step 600/1500 loss=4.859 (5.00 steps/s), 3:00 left")
    following.follow(f"JOB=1:10\t{tmp_path}/log/many.JOB.log\n")
    following.look()
    now[0] += 3723
    following.look()
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{tmp_path}/many.7: running for 1:02:03; and 3 more" in line
    for path in (tmp_path / "log").iterdir():
        with path.open("a") as log:
            log.write("# Ended (code 0) at noon\n")
    now[0] += 61
    following.look()
    assert capfd.readouterr().err == "" and not following.logs


def test_a_log_of_an_earlier_run_counts_when_it_is_written_again(progress, tmp_path):
    path = tmp_path / "train.1.log"
    path.write_text(STEP.format(1500) + "# Ended (code 0) at noon, elapsed time 1 seconds\n")
    following = progress.Progress(terminal=False)
    following.follow(f"_N_=1:1\t{tmp_path}/train._N_.log\n")
    following.look()
    assert following.logs[str(path)].since is None
    path.write_text("# Started at one\n" + STEP.format(100))
    following.look()
    assert following.logs[str(path)].words == "step 100/1500 loss=4.859 (5.00 steps/s), 4:40 left"


def test_a_single_job_that_ended_before_it_is_followed_is_heard(progress, tmp_path, capfd):
    (tmp_path / "train.log").write_text("x WARNING: not normal: exp/a: too high\n# Ended (code 0) at noon\n")
    following = progress.Progress(terminal=False)
    following.follow(f"\t{tmp_path}/train.log\n")
    following.look()
    assert "not normal: exp/a: too high" in capfd.readouterr().err and not following.logs


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_logs_that_somebody_writes_are_found(tmp_path):
    (tmp_path / "exp/a/log").mkdir(parents=True)
    for name, text in (("killed", ""), ("done", "# Ended (code 0) at noon\n"), ("train", STEP.format(750))):
        (tmp_path / f"exp/a/log/{name}.log").write_text("# Running on " + progress_host() + "\n" + text)
    command = [sys.executable, str(UTILS / "progress.py"), "--running", "exp", "nowhere"]
    with open(tmp_path / "exp/a/log/train.log", "a"), open(tmp_path / "exp/a/log/done.log", "a"):
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout == "exp/a/log/train.log\tstep 750/1500 loss=4.859 (5.00 steps/s), 2:30 left\n"
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout == ""


def progress_host():
    import os

    return os.uname().nodename
