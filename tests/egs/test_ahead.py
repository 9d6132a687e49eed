"""Trainings that run ahead of their stage, beside another one's (`--train-jobs`)."""

import subprocess
import time

import pytest

ENGINE = """
. "$2/interrupt.sh"
. "$2/jobs.sh"
wants_status=false train_jobs=2 stop_stage=7 python=python3
train() {  # <name> <seconds> [<status>]
    to_do "$1" "training: $1" || return 0
    echo "$1 starts" >>order
    interruptible sleep "$2"
    echo "$1 ends" >>order
    [ "${3:-0}" -eq 0 ] || exit "$3"
    touch "$1"
}
stage_start=0 worked=false stage_number=1 expdir=exp
"""


@pytest.fixture
def engine(engine_shell, tmp_path):
    """Runs lines after those of the engine; returns the finished process and what happened in which order."""

    def run(lines, timeout=60):
        done = engine_shell(ENGINE + lines, timeout)
        order = tmp_path / "order"
        return done, order.read_text().splitlines() if order.exists() else []

    return run


def still_runs(seconds):
    """Whether any process sleeps so long."""
    return subprocess.run(["pgrep", "-fx", f"sleep {seconds}"], capture_output=True).returncode == 0


def test_a_training_runs_beside_the_stage_before_its_own(engine):
    lines = "ahead 2 train codec 1\ntrain tokens 5\nworked=false\ncaught_up 2\necho worked: $worked\n"
    done, order = engine(lines + "train codec 9\n")
    assert done.returncode == 0, done.stderr
    assert set(order[:2]) == {"codec starts", "tokens starts"} and order[2:] == ["codec ends", "tokens ends"]
    assert "ahead of stage 2: training: codec" in done.stdout and "worked: true" in done.stdout


def test_no_more_run_at_once_than_are_allowed(engine):
    lines = "ahead 5 train text 1\nahead 4.second train second 1\ntrain first 3\n"
    done, order = engine(lines + "caught_up 4.second\ncaught_up 5\n")
    assert done.returncode == 0, done.stderr
    order.remove("first starts")
    assert order[:3] == ["text starts", "text ends", "second starts"]


def test_a_stage_s_own_job_does_not_wait_for_one_that_runs_ahead(engine):
    lines = "nj=1\nahead 2 train codec 4\nin_background train tokens 1\nin_background train more 1\n"
    done, order = engine(lines + "finish_background extractions\ncaught_up 2\n")
    assert done.returncode == 0, done.stderr
    order.remove("codec starts")
    assert order == ["tokens starts", "tokens ends", "more starts", "more ends", "codec ends"]


def test_what_is_complete_is_no_work_of_its_stage(engine):
    done, order = engine("touch codec\nahead 2 train codec 9\ncaught_up 2\necho worked: $worked\n")
    assert done.returncode == 0, done.stderr
    assert order == [] and "worked: false" in done.stdout


@pytest.mark.parametrize("setting", ["train_jobs=1", "stop_stage=1", "wants_status=true"])
def test_nothing_is_ahead_of_a_stage_that_does_not_come_or_without_a_second_job(engine, setting):
    done, order = engine(f"{setting}\nahead 2 train codec 1\necho ${{#ahead_jobs[@]}} ahead\ncaught_up 2\n")
    assert (done.returncode, order, done.stdout) == (0, [], "0 ahead\n"), done.stderr


def test_a_failure_ahead_is_that_of_its_stage(engine):
    done, order = engine("ahead 2 train codec 0 7\ntrain tokens 1\ncaught_up 2\ntrain codec 1\n")
    assert done.returncode == 1
    assert "what was run ahead of stage 2 failed; the messages above name the log" in done.stderr
    assert order[-1] == "tokens ends"  # the stage before was not disturbed


def test_a_failure_of_a_stage_ends_what_is_ahead(engine):
    start = time.monotonic()
    done, _ = engine("ahead 2 train codec 54321.5\ntrain tokens 1 7\n")
    assert done.returncode == 7 and time.monotonic() - start < 30
    assert not still_runs("54321.5")


def test_a_signal_ends_what_is_ahead(engine):
    done, _ = engine("ahead 2 train codec 54321.25\n(sleep 1; kill -TERM $$) &\ntrain tokens 60\n")
    assert done.returncode == 143
    assert not still_runs("54321.25")


def test_jobs_of_a_stage_end_while_something_is_still_ahead(engine):
    """The progress of both is shown by one process, which goes on."""
    lines = "nj=2\nahead 7 train listeners 3\nin_background train decoding 1\nfinish_background decodings\n"
    done, order = engine(lines + "echo decoded >>order\ncaught_up 7\n")
    assert done.returncode == 0, done.stderr
    assert order[-3:] == ["decoding ends", "decoded", "listeners ends"]
