"""A real Slurm of this machine alone, with its own key, ports and folders: for tests that run jobs on one."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONF = """
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool.%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1
SwitchType=switch/none
InactiveLimit=0
MinJobAge=5
KillWait=5
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} State=UNKNOWN"


def missing() -> str:
    """Why Slurm cannot be started here; empty where it can."""
    programs = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if programs:
        return f"{', '.join(programs)} not installed; run: make -C tools system"
    return "" if os.geteuid() == 0 else "only root can start slurmd"


def free_port() -> int:
    """A port nobody listens at."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def queue() -> str:
    """What squeue says of jobs that have not ended."""
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=False).stdout.strip()


@contextmanager
def running_slurm(nodes: int = 1) -> Iterator[Path]:
    """Start munge and Slurm with ``nodes`` nodes, all of them this machine; ends them and their jobs afterwards.

    Yields:
        Its slurm.conf, for ``SLURM_CONF``, which is set meanwhile.
    """
    # munge wants every folder on the way to its socket to be readable, which pytest's are not.
    root = Path(tempfile.mkdtemp(prefix="slurm-test-"))
    root.chmod(0o755)
    (root / "state").mkdir()
    key = root / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    host = socket.gethostname().split(".")[0]
    names = [f"node{number}" for number in range(1, nodes + 1)]
    lines = [NODE.format(name=name, host=host, port=free_port(), cpus=os.cpu_count()) for name in names]
    conf = root / "slurm.conf"
    conf.write_text(CONF.format(host=host, root=root, controller_port=free_port(), nodes="\n".join(lines)))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
    munge.update({"log-file": "munged.log", "seed-file": "munged.seed"})
    commands = [
        ["munged", "--foreground", *(f"--{option}={root}/{name}" for option, name in munge.items())],
        ["slurmctld", "-D"],
        *(["slurmd", "-D", "-N", name] for name in names),
    ]
    daemons = []
    try:
        for number, command in enumerate(commands):
            with (root / f"{number}.out").open("w") as log:
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            time.sleep(0.5)
        _wait_until_idle(root, nodes)
        yield conf
    finally:
        # Jobs must be gone before the daemons are, or their slurmstepd stays for ever.
        deadline = time.monotonic() + 10
        while queue() and time.monotonic() < deadline:
            subprocess.run(["scancel", "-u", "root"], check=False)
            time.sleep(0.5)
        for daemon in reversed(daemons):
            daemon.kill()  # nothing of theirs is kept, and a clean end takes ten seconds
            daemon.wait()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before
        shutil.rmtree(root, ignore_errors=True)


def _wait_until_idle(root: Path, nodes: int) -> None:
    deadline, command = time.monotonic() + 30, ["sinfo", "-h", "-N", "-o", "%t"]
    while subprocess.run(command, capture_output=True, text=True).stdout.split() != ["idle"] * nodes:
        if time.monotonic() > deadline:
            logs = "\n".join(f"{path}:\n{path.read_text()[-1500:]}" for path in root.glob("slurm*.log"))
            raise RuntimeError(f"Slurm did not come up within 30 s\n{logs}")
        time.sleep(0.2)
