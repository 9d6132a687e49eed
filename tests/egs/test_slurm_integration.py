"""A recipe on a real Slurm of this machine: arrays, trainings on two nodes, a job that is killed: `-m integration`."""

import os
import subprocess
import sys
import time

import pytest

from tests import slurm
from tests.tokens.conftest import make_hubert

from .readers import CONFIGS, follow_readme, write_configs, write_corpus

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 2, "save_every": 2}
SLURM_CONF = """
command sbatch --export=ALL --partition main
option name=* --job-name $0
option mem=*
option num_threads=* --cpus-per-task $0
option num_threads=1
option num_nodes=* --nodes $0
"""
SECOND_LOG = "semantic_*/train/log/extract.2.log"
OPTIONS = "--semantic-layer 1 --semantic-clusters 16 --train-threads 1 --nj 2 --num-nodes 2".split()
OPTIONS += ["--systems", "soundstorm"]


@pytest.fixture
def recipe(checkout, tmp_path):
    """The readers' corpus with as many utterances as make an array of two jobs, and a HuBERT that is there already."""
    if reason := slurm.missing():
        pytest.skip(reason)
    write_corpus(tmp_path / "readers", chapters=51, longer=0.01)
    follow_readme(checkout, tmp_path / "readers")
    folder = checkout.root / "egs/readers"
    assert "train_soundstorm" in CONFIGS
    write_configs(folder, **TRAINING)
    make_hubert(folder / "hubert")
    (folder / "conf/slurm.conf").write_text(SLURM_CONF)
    return folder


def start(recipe, *options):
    """Runs the recipe on the cluster; the process, whose output is in a file."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix, "cmd_backend": "slurm"}
    with open(recipe / "run.log", "a") as log:
        command = ["./run.sh", "--ssl-model", "hubert", *OPTIONS, *options]
        return subprocess.Popen(command, cwd=recipe, env=environment, stdout=log, stderr=log)


def wait_for(what, process, recipe, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        said = (recipe / "run.log").read_text()[-3000:]
        assert process.poll() is None, f"the run ended before that\n{said}"
        assert time.monotonic() < deadline, f"waited too long\n{said}"
        time.sleep(0.1)
    return found


def second_task(recipe):
    """`<job>_2` of the array that extracts the training set's tokens, once it is at work."""
    if not any(b"# Started" in log.read_bytes() for log in recipe.glob(f"dump/{SECOND_LOG}")):
        return None
    command = ["squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i"]
    tasks = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((task for task in tasks if task.endswith("_2")), None)


def test_a_recipe_runs_on_slurm_and_goes_on_after_a_job_was_killed(recipe):
    with slurm.running_slurm(nodes=2):
        process = start(recipe, "--stop-stage", "1")
        victim = wait_for(lambda: second_task(recipe), process, recipe)
        subprocess.run(["scancel", victim], check=True)
        assert process.wait(timeout=300) != 0
        said = (recipe / "run.log").read_text()
        assert "slurm.py: 1 / 2 failed" in said and "extractions of semantic tokens failed" in said, said[-3000:]
        logs = next((recipe / "dump").glob("semantic_*/train/log"))
        survivor = (logs / "extract.1.log").read_bytes()
        assert b"# Ended (code 0)" in survivor
        assert b"# Ended (code 0)" not in (logs / "extract.2.log").read_bytes()

        process = start(recipe, "--stop-stage", "6")
        assert process.wait(timeout=400) == 0, (recipe / "run.log").read_text()[-3000:]
        assert (logs / "extract.1.log").read_bytes() == survivor  # --pick failed: what was done is not done again
        assert b"# Ended (code 0)" in (logs / "extract.2.log").read_bytes()
    assert len((recipe / "data/train/semantic.scp").read_text().splitlines()) == 102
    for experiment in ("codec", "soundstorm"):
        checkpoint = recipe / f"exp/{experiment}/checkpoints/step-00000004"
        assert (checkpoint / "rng.1.safetensors").exists() and not (checkpoint / "rng.2.safetensors").exists()
        log = (recipe / f"exp/{experiment}/log/train.log").read_text()
        assert "utils/torchrun.py --num-nodes 2 --procs-per-node 1 -m soundstorm.bin.train_" in log
    assert (recipe / "exp/soundstorm/decode_soundstorm/test/wav.scp").exists()
