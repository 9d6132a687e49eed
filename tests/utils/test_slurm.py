"""The Slurm launcher: with a stand-in for sbatch on PATH, and with a real Slurm where one is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import slurm

SLURM = "utils/slurm.py"

CONF = """
# What the tests' cluster is like.
command sbatch --export=ALL --comment "two words"
option name=* --job-name $0
option mem=* --mem-per-cpu $0   # for each core
option mem=0
option num-threads=* --cpus-per-task $0
option num_threads=1
option gpu=* -p gpu --gres=gpu:$0
option gpu=0 -p cpu
default gpu=0
"""

# Notes its arguments, says the job's number at once, and runs the tasks one after the other as a cluster would:
# elsewhere, in a session of their own, with the output in a file. FAKE_DIES names tasks that never start.
SBATCH = f"""#!{sys.executable}
import json, os, re, subprocess, sys, time
arguments = sys.argv[1:]
json.dump(arguments, open("sbatch.json", "w"))
if os.environ.get("FAKE_REFUSES"):
    sys.exit("sbatch: error: invalid partition specified")
print("4711;cluster", flush=True)
options = dict(zip(arguments, arguments[1:]))
tasks = []
for part in options.get("--array", "").split("%")[0].split(","):
    first, _, last = part.partition("-")
    tasks += range(int(first), int(last or first) + 1) if part else [None]
status = 0
for task in tasks:
    if str(task) in os.environ.get("FAKE_DIES", "").split():
        continue
    environment = dict(os.environ)
    if task is not None:
        environment["SLURM_ARRAY_TASK_ID"] = str(task)
    with open(options["-o"], "a") as log:
        status |= subprocess.run(["bash", os.path.abspath(arguments[-1])], cwd="/", env=environment,
                                 stdout=log, stderr=log, start_new_session=True).returncode
if os.environ.get("FAKE_HANGS"):
    time.sleep(1000)
sys.exit(status)
"""
SCANCEL = '#!/bin/sh\necho "$@" >> scancelled\n'


@pytest.fixture
def cluster(shell, monkeypatch):
    """A recipe directory with a slurm.conf and stand-ins for Slurm's commands."""
    shell.write("conf/slurm.conf", CONF)
    for name, program in {"sbatch": SBATCH, "scancel": SCANCEL, "squeue": "#!/bin/sh\n"}.items():
        shell.write(f"bin/{name}", program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{shell.root}/bin:{os.environ['PATH']}")
    return shell


def submitted(cluster):
    """The arguments that sbatch got."""
    return json.loads((cluster.root / "sbatch.json").read_text())


def test_an_array_runs_and_leaves_the_logs_of_the_local_launcher(cluster):
    words = ["JOB=1:3", "exp/log/x.JOB.log", "echo", "aJOB", "|", "tr", "a", "b"]
    done = cluster(SLURM, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    logs = [(cluster.root / f"exp/log/x.{job}.log").read_text() for job in (1, 2, 3)]
    assert [log.splitlines()[4] for log in logs] == ["b1", "b2", "b3"]
    cluster("utils/run.py", *words)
    dates = re.compile(r"\w{3} \w{3} [ \d]\d .* \d{4}")
    for job, log in zip((1, 2, 3), logs):
        assert dates.sub("", log) == dates.sub("", (cluster.root / f"exp/log/x.{job}.log").read_text())


def test_one_job_needs_no_array(cluster):
    assert cluster(SLURM, "exp/x.log", "echo", "hello").returncode == 0
    assert "--array" not in submitted(cluster)
    assert "\nhello\n" in (cluster.root / "exp/x.log").read_text()


def test_sbatch_gets_the_words_of_the_configuration(cluster):
    options = ["--mem", "4G", "--num-threads", "2", "--name", "n", "--gpu", "1", "-A", "account"]
    cluster(SLURM, *options, "--max-jobs-run", "2", "JOB=1:4", "exp/log/x.JOB.log", "true")
    assert submitted(cluster) == [
        *["--export=ALL", "--comment", "two words"],
        *["-p", "gpu", "--gres=gpu:1", "--mem-per-cpu", "4G", "--cpus-per-task", "2", "--job-name", "n"],
        *["-A", "account", "--parsable", "--wait", "--open-mode=append"],
        *["-e", "exp/q/x.log", "-o", "exp/q/x.log", "--array", "1-4%2", "exp/q/x.sh"],
    ]


def test_a_rule_for_one_value_beats_the_general_one_and_defaults_hold(cluster):
    cluster(SLURM, "--mem", "0", "--num-threads", "1", "x.log", "true")
    assert submitted(cluster)[3:7] == ["-p", "cpu", "--parsable", "--wait"]


def test_another_configuration_can_be_named(cluster):
    cluster.write("other.conf", "command sbatch --qos long\n")
    cluster(SLURM, "--config", "other.conf", "x.log", "true")
    assert submitted(cluster)[:2] == ["--qos", "long"]


def test_the_job_has_three_lines_and_a_description(cluster):
    cluster(SLURM, "JOB=2:3", "exp/log/x.JOB.log", "echo", "$(date) JOB")
    assert len((cluster.root / "exp/q/x.sh").read_text().splitlines()) == 3
    description = json.loads((cluster.root / "exp/q/x.json").read_text())
    assert description["command"] == "echo '$(date) JOB'"
    assert (description["first"], description["last"], description["log"]) == (2, 3, "exp/log/x.JOB.log")


def test_the_job_sources_path_sh(cluster):
    cluster.write("path.sh", "export FROM_PATH_SH=yes\n")
    cluster(SLURM, "x.log", "echo", "got:$FROM_PATH_SH")
    assert "\ngot:yes\n" in (cluster.root / "x.log").read_text()


def test_a_failed_task_fails_the_call(cluster):
    done = cluster(SLURM, "JOB=1:3", "exp/log/x.JOB.log", "test", "JOB", "-ne", "2")
    assert done.returncode == 1
    assert done.stderr.startswith("slurm.py: 1 / 3 failed, log is in exp/log/x.*.log\n")


IMPATIENT = """import sys
sys.path.insert(0, "utils")
import slurm
slurm.wait_until.__kwdefaults__["seconds"] = 0.5
sys.exit(slurm.main(sys.argv[1:]))
"""


def test_a_task_that_leaves_no_word_has_failed(cluster):
    cluster.write("exp/log/x.2.log", "# Ended (code 0) at an earlier time\n")
    impatient = [sys.executable, "-c", IMPATIENT]
    done = cluster(*impatient, "JOB=1:3", "exp/log/x.JOB.log", "true", env={"FAKE_DIES": "2"})
    assert done.returncode == 1
    assert "1 of 3 jobs of 4711 ended without a word in their log" in done.stderr
    assert "exp/q/x.log" in done.stderr
    assert "slurm.py: there is no exp/log/x.2.log" in done.stderr


def test_a_log_that_is_seen_late_is_waited_for(cluster):
    """As on NFS, where it took longer than three seconds."""
    cluster.write("bin/sbatch", "#!/bin/sh\necho 4711\n(sleep 4; echo '# Ended (code 0) at x' > x.log) >&2 &\n").chmod(
        0o755
    )
    done = cluster(SLURM, "x.log", "true")
    assert (done.returncode, done.stderr) == (0, "")


def test_files_of_other_machines_are_waited_for(cluster):
    (cluster.root / "a b").mkdir()
    cluster("bash", "-c", "(sleep 0.5; touch 'a b/2.scp') > /dev/null 2>&1 &")
    cluster.write("1.scp", "")
    done = cluster("utils/wait_for_files.py", "1.scp", "a b/2.scp")
    assert (done.returncode, done.stdout) == (0, "") and (cluster.root / "a b/2.scp").exists()


def test_a_job_that_sbatch_refuses_has_failed(cluster):
    done = cluster(SLURM, "x.log", "true", env={"FAKE_REFUSES": "1"})
    assert done.returncode == 1
    assert "invalid partition" in done.stderr and "sbatch did not take the job" in done.stderr


def test_without_slurm_the_message_says_so(shell, monkeypatch):
    shell.write("conf/slurm.conf", CONF.replace("command sbatch", "command no-such-sbatch"))
    done = shell(SLURM, "x.log", "true")
    assert done.returncode == 1
    assert "no-such-sbatch" in done.stderr and "is Slurm in the PATH?" in done.stderr


def test_pick_submits_only_the_jobs_that_logs_call_for(cluster):
    for job in (2, 5):
        cluster.write(f"x.{job}.log", "# Ended (code 0) at x\n")
    cluster.write("x.4.log", "# Ended (code 1) at x\n")
    assert cluster(SLURM, "--pick", "failed", "JOB=1:7", "x.JOB.log", "true").returncode == 0
    assert submitted(cluster)[-2] == "1,3-4,6-7"


def test_pick_submits_nothing_where_nothing_is_left(cluster):
    cluster.write("x.log", "# Ended (code 0) at x\n")
    assert cluster(SLURM, "--pick", "failed", "x.log", "true").returncode == 0
    assert not (cluster.root / "sbatch.json").exists()


def test_a_job_still_in_the_queue_is_waited_for_after_sbatch_lost_sight_of_it(cluster):
    # sbatch dies; the queue has the job at the first look, and its log is there before the second.
    ended = "# Ended (code 0) at x"
    cluster.write("bin/sbatch", "#!/bin/sh\necho 4711\nexit 1\n").chmod(0o755)
    cluster.write("bin/squeue", f"#!/bin/sh\necho '{ended}' > x.log; kill -CHLD $PPID; echo 4711 R\n").chmod(
        0o755
    )
    assert cluster(SLURM, "x.log", "true").returncode == 0


@pytest.mark.parametrize(
    "conf, arguments, message",
    [
        (None, [], r"cannot read conf/slurm.conf .*copy egs/TEMPLATE/conf/slurm.conf to conf/slurm.conf"),
        ("option a=*\n", [], "has no line such as: command sbatch"),
        (
            "command sbatch\nopton a=*\n",
            [],
            r"slurm.conf, line 2: expected command <words>.*got 'opton a=\*'",
        ),
        ("command sbatch\ndefault a=1\n", [], "a default for a but no rule"),
        ("command sbatch\noption mem=*\n", ["--men", "4G"], "unknown option --men .*did you mean --mem"),
        ("command sbatch\noption gpu=0\n", ["--gpu", "1"], "conf/slurm.conf has no rule for --gpu 1"),
    ],
)
def test_a_configuration_that_does_not_do_is_an_error(cluster, conf, arguments, message):
    (cluster.root / "conf/slurm.conf").unlink()
    if conf is not None:
        cluster.write("conf/slurm.conf", conf)
    done = cluster(SLURM, *arguments, "x.log", "true")
    assert done.returncode == 255
    assert re.search(message, done.stderr)


def test_a_named_configuration_must_be_there(cluster):
    done = cluster(SLURM, "--config", "no.conf", "x.log", "true")
    assert done.returncode == 255 and "cannot read no.conf" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_cancels_the_job(cluster, number):
    process = subprocess.Popen(
        [SLURM, "x.log", "touch", "ran"],
        cwd=cluster.root,
        env={**os.environ, "FAKE_HANGS": "1"},
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 10
    while not (cluster.root / "ran").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert b"interrupted" in process.communicate(timeout=10)[1]
    assert process.returncode == 128 + number
    assert (cluster.root / "scancelled").read_text() == "--state PENDING 4711\n--batch --signal TERM 4711\n4711\n"


def test_a_second_ctrl_c_cancels_a_job_that_takes_long_to_end(cluster):
    cluster.write("bin/squeue", "#!/bin/sh\necho 4711 R\n").chmod(0o755)
    process = subprocess.Popen(
        [SLURM, "x.log", "touch", "ran"],
        cwd=cluster.root,
        env={**os.environ, "FAKE_HANGS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait((cluster.root / "ran").exists)
    process.send_signal(signal.SIGTERM)
    told = process.stderr.readline()
    assert "waiting up to 300 s for job 4711 of the cluster to end" in told and "Ctrl-C now kills it" in told
    process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=10)[1] and process.returncode == 143
    assert (cluster.root / "scancelled").read_text().splitlines()[-2:] == ["--batch --signal TERM 4711", "4711"]


def test_the_template_configuration_knows_the_options_of_the_local_launcher(cluster):
    template = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/conf/slurm.conf"
    shutil.copy(template, cluster.root / "conf/slurm.conf")
    options = "--mem 1G --num-threads 2 --gpu 2 --time 1:00:00 --name x --num-nodes 2"
    assert cluster(SLURM, *options.split(), "x.log", "true").returncode == 0
    assert "--gres gpu:2" in " ".join(submitted(cluster))


@pytest.mark.parametrize("backend, launcher", [(None, "utils/run.py"), ("slurm", "utils/slurm.py")])
def test_cmd_sh_switches_all_commands(shell, backend, launcher):
    cmd = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/cmd.sh"
    script = f'set -eu; . {cmd}; for c in "$train_cmd" "$cuda_cmd" "$decode_cmd"; do echo "${{c%% *}}"; done'
    done = shell("bash", "-c", script, env={"cmd_backend": backend} if backend else {})
    assert done.stdout.split() == [launcher] * 3


def test_cmd_sh_refuses_an_unknown_backend(shell):
    cmd = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/cmd.sh"
    done = shell("bash", "-c", f". {cmd}; echo on", env={"cmd_backend": "sge"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "cmd_backend is 'sge', expected local or slurm" in done.stderr


@pytest.fixture
def real_cluster(shell):
    """A cluster of this machine alone."""
    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.running_slurm():
        shell.write("conf/slurm.conf", "command sbatch --export=ALL -p main\noption num_threads=*\n")
        yield shell


@pytest.mark.integration
def test_a_real_slurm_runs_fails_and_cancels_jobs(real_cluster):
    done = real_cluster(
        SLURM, "JOB=1:3", "exp/log/x.JOB.log", "echo", "job", "JOB", ";", "test", "JOB", "-ne", "2"
    )
    assert done.returncode == 1, done.stderr
    assert "slurm.py: 1 / 3 failed, log is in exp/log/x.*.log" in done.stderr
    logs = [(real_cluster.root / f"exp/log/x.{job}.log").read_text() for job in (1, 2, 3)]
    assert ["\njob 1\n" in logs[0], "# Ended (code 1)" in logs[1], "# Ended (code 0)" in logs[2]] == [
        True
    ] * 3

    command = ["bash", "-c", "'echo", "$$", ">", "pid;", "sleep", "1000;", "true'"]
    process = subprocess.Popen(
        [SLURM, "exp/long.log", *command], cwd=real_cluster.root, stderr=subprocess.PIPE
    )
    pid = real_cluster.root / "pid"
    _wait(lambda: pid.exists() and pid.read_text().strip())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    _wait(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())
    _wait(lambda: "# Ended (code 143" in (real_cluster.root / "exp/long.log").read_text())


def _wait(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
