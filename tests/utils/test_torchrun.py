"""Trainings in several processes: what is started where, and that processes here find each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from torch.distributed.launcher.api import LaunchConfig

TORCHRUN = "utils/torchrun.py"
WORKER = """import os, sys
words = ["rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], *sys.argv[1:]]
words += ["killed after", os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]]
os.write(1, (" ".join(words) + chr(10)).encode())  # at once: two processes write here
"""
SRUN = f"#!{sys.executable}\nimport sys\nprint(*sys.argv[1:])\n"


def test_processes_of_one_machine_know_their_number(shell):
    shell.write("worker.py", WORKER)
    options = ["--num-nodes", "1", "--procs-per-node", "2", "-m", "worker", "--expdir", "a b"]
    done = shell(sys.executable, TORCHRUN, *options, env={"PYTHONPATH": str(shell.root)})
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        f"rank {rank} of 2 --expdir a b killed after 300" for rank in range(2)
    ]


def test_torch_gives_processes_as_long_to_end_as_the_variable_says(monkeypatch):
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "300")
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=1)
    if not hasattr(config, "shutdown_timeout"):
        pytest.skip("this torch always gives 30 s")
    assert config.shutdown_timeout == 300


ENDED = """import os, signal, time
if os.environ["RANK"] == "1":
    {end}
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGTERM)",
        pytest.param("os._exit(143)", marks=pytest.mark.integration),
        pytest.param("os.kill(os.getppid(), 15)", marks=pytest.mark.integration),
    ],
)
def test_the_status_after_a_signal_is_its_own(shell, end):
    """To one of the processes, in a training that ends with it, or to torchrun itself."""
    shell.write("worker.py", ENDED.format(end=end))
    done = shell(
        sys.executable, TORCHRUN, "--procs-per-node", "2", "-m", "worker", env={"PYTHONPATH": str(shell.root)}
    )
    assert done.returncode == 143 and "Traceback" not in done.stderr, done.stderr


@pytest.mark.integration
def test_the_status_after_a_failure_is_1(shell):
    shell.write("worker.py", ENDED.format(end="os._exit(3)"))
    done = shell(
        sys.executable, TORCHRUN, "--procs-per-node", "2", "-m", "worker", env={"PYTHONPATH": str(shell.root)}
    )
    assert done.returncode == 1


def test_several_machines_are_those_of_a_job_of_slurm(shell):
    srun = shell.write("bin/srun", SRUN)
    srun.chmod(0o755)
    options = ["--num-nodes", "3", "--procs-per-node", "8", "-m", "worker", "--seed", "1"]
    env = {"PATH": f"{srun.parent}:/usr/bin:/bin", "SLURM_JOB_ID": "4711", "SLURM_CPUS_PER_TASK": "5"}
    done = shell(sys.executable, TORCHRUN, *options, env=env)
    assert done.returncode == 0, done.stderr
    srun, torchrun = done.stdout.split(f" {sys.executable} -m torch.distributed.run ")
    assert srun == "--nodes 3 --ntasks 3 --ntasks-per-node 1 --cpus-per-task 5 --kill-on-bad-exit=1"
    assert torchrun.startswith(
        "--nproc-per-node 8 --nnodes 3 --rdzv-backend c10d --rdzv-id 4711 --rdzv-endpoint "
    )
    assert torchrun.strip().endswith(f":{29500 + 4711 % 2000} -m worker --seed 1")


def test_a_signal_reaches_the_processes_on_all_machines_by_slurm(shell):
    """To the whole group, as the launcher sends it; srun, which would kill them, does not get it."""
    shell.write("bin/srun", "#!/bin/sh\necho started\nwhile [ ! -e told ]; do sleep 0.05; done\nexit 1\n").chmod(0o755)
    shell.write("bin/scancel", '#!/bin/sh\necho "$@" > told\n').chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, TORCHRUN, "--num-nodes", "2", "-m", "worker"],
        cwd=shell.root,
        env={"PATH": f"{shell.root}/bin:/usr/bin:/bin", "SLURM_JOB_ID": "4711"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"started\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    assert (shell.root / "told").read_text() == "--signal TERM 4711\n"


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--num-nodes", "2", "-m", "x"],
            "--num-nodes 2 works in a job of Slurm only; set cmd_backend=slurm",
        ),
        (["--num-nodes", "0", "-m", "x"], "expected -m <module>, got ['--num-nodes', '0']"),
        (["--procs-per-node", "2"], "expected -m <module>"),
    ],
)
def test_what_cannot_be_started_is_told_in_one_line(shell, options, message):
    done = shell(sys.executable, TORCHRUN, *options, env={"SLURM_JOB_ID": ""})
    assert done.returncode != 0 and message in done.stderr and len(done.stderr.splitlines()) == 1
