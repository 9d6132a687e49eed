"""Every step class in two processes: equal to one, ended by a signal to one of them, gone on with."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import HubertModel

from soundstorm.bin import train_kmeans
from soundstorm.training.checkpoint import find_checkpoints, load_tensors, read_state
from tests.training import step_worker
from tests.training.models import MODELS, write_data

SHARED = [name for name in MODELS if name != "codec"]  # weights that FSDP can share: those of one network
QUICK = "soundstorm"  # of the others all but the first test is an integration test


def cases(names):
    return [name if name == QUICK else pytest.param(name, marks=pytest.mark.integration) for name in names]


def make_runs(folder: Path, one: list[str], two: list[str], last: list[str] = ()) -> Path:
    """What one process makes, what two make then, and what one makes of that in the end."""
    data, root = folder / "data", Path(__file__).parents[2]
    write_data(data)
    step_worker.main(data, folder / "one", one)
    hand_over(folder, "one", "two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    command += ["tests.training.step_worker", str(data), str(folder / "two"), *two]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, cwd=root)
    assert done.returncode == 0, done.stderr[-4000:]
    assert all(done.stdout.count(f"{word}: process") == 2 for word in two), done.stdout
    hand_over(folder, "two", "one")
    step_worker.main(data, folder / "one", list(last))
    return folder


def hand_over(folder: Path, giver: str, taker: str) -> None:
    for half in folder.glob(f"{giver}/*/half"):
        shutil.copytree(half, folder / taker / half.parent.name / "second_half")


def make_all(folder: Path, names: list[str], straight: list[str]) -> Path:
    """All ways of some models, and the straight one of these or more in two processes."""
    plain = [f"{name}:straight" for name in straight]
    shared = [f"{name}:sharded" for name in names if name in SHARED]
    one = [f"{name}:{way}" for name in names for way in ("straight", "half")]
    two = [f"{name}:{way}" for name in names for way in ("interrupted", "half", "second_half")]
    more = [word for word in plain if word not in one]
    return make_runs(folder, one + more, two + plain + shared, [f"{name}:second_half" for name in names])


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("quick"), [QUICK], MODELS)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("others"), [name for name in MODELS if name != QUICK], [])


def runs_of(request, name: str) -> Path:
    return request.getfixturevalue("quick" if name == QUICK else "others")


def read_metrics(expdir: Path) -> list[dict]:
    return [json.loads(line) for line in (expdir / "metrics.jsonl").read_text().splitlines()]


def check_figures(one: Path, two: Path) -> None:
    lines = read_metrics(one), read_metrics(two)
    assert len(lines[0]) == len(lines[1]) == step_worker.STEPS // 2 + 1  # and a validation
    for ours, theirs in zip(*lines, strict=True):
        assert ours.pop("set") == theirs.pop("set")
        assert theirs == pytest.approx(ours, rel=2e-3, abs=1e-4)


def check_alike(one: Path, two: Path) -> None:
    """The same figures, and the same gradients at the first step and, in sum, at the last."""
    check_figures(one, two)
    for folder in {find_checkpoints(one)[0].name, find_checkpoints(one)[-1].name}:
        for path in (one / "checkpoints" / folder).glob("optimizer.*.safetensors"):
            ours, theirs = load_tensors(path), load_tensors(two / "checkpoints" / folder / path.name)
            assert ours.keys() == theirs.keys()
            moments = [name for name in ours if name.endswith(".exp_avg")]
            largest = max(float(ours[name].abs().max()) for name in moments)
            if folder.endswith("1"):  # the gradient times 1 - beta
                for name in moments:
                    torch.testing.assert_close(theirs[name], ours[name], rtol=1e-3, atol=1e-4 * largest)
            flat = [torch.cat([table[name].flatten() for name in moments]) for table in (ours, theirs)]
            assert torch.linalg.norm(flat[0] - flat[1]) <= 0.02 * torch.linalg.norm(flat[0])
    assert any(float(value.abs().max()) > 0 for value in load_tensors(one / "model.safetensors").values())


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_equal_one_on_the_same_global_batches(quick, name):
    check_alike(quick / "one" / name / "straight", quick / "two" / name / "straight")


@pytest.mark.parametrize("name", cases(SHARED))
def test_weights_that_two_processes_share_equal_those_of_one(request, name):
    runs = runs_of(request, name)
    check_alike(runs / "one" / name / "straight", runs / "two" / name / "sharded")


@pytest.mark.parametrize("name", cases(MODELS))
def test_a_signal_to_one_of_two_ends_both_in_a_checkpoint_that_goes_on_bit_for_bit(request, name):
    folder = runs_of(request, name) / "two" / name / "interrupted"
    last = f"checkpoints/step-{step_worker.STEPS:08d}"
    names = sorted(path.name for path in (folder / "straight" / last).iterdir())
    assert {"model.safetensors", "rng.0.safetensors", "rng.1.safetensors"} < set(names)
    assert names == sorted(path.name for path in (folder / "resumed" / last).iterdir())
    for file in names:
        if file.endswith(".safetensors"):
            ours, theirs = (load_tensors(folder / run / last / file) for run in ("straight", "resumed"))
            assert ours.keys() == theirs.keys()
            assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == [], file
    assert read_metrics(folder / "straight") == read_metrics(folder / "resumed")


@pytest.mark.parametrize("taker", ["one", "two"])
@pytest.mark.parametrize("name", cases(MODELS))
def test_a_checkpoint_goes_on_with_another_number_of_processes(request, name, taker):
    runs = runs_of(request, name)
    check_figures(runs / "one" / name / "straight", runs / taker / name / "second_half")


HUBERT = """
model: {width: 16, num_layers: 2, num_heads: 2, feed_forward_width: 16, conv_widths: [8, 8],
  conv_kernels: [64, 10], conv_strides: [32, 10], conv_norm: layer, position_kernel: 8,
  position_groups: 2, label_width: 8, layer_drop: 0.0}
data: {crop_seconds: 0.2}
training: {max_steps: 200, batch_size: 4, log_every: 1, save_every: 200, valid_every: 200, sharding: full}
"""


def start_two(options: list[str], environment: dict[str, str]) -> list[subprocess.Popen]:
    """The two processes of a training, without torchrun, which has a status of its own."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        shared = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "soundstorm.bin.pretrain_hubert", *options]
    return [
        subprocess.Popen(
            command,
            env={**environment, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


@pytest.mark.integration
def test_a_front_in_two_processes_ends_with_a_checkpoint_and_its_signals_status_and_goes_on(tmp_path):
    """As Slurm preempts: SIGTERM to each, 0.15 s apart. Labels are made once, shares exported."""
    write_data(tmp_path)
    audio, expdir = str(tmp_path / "audio"), tmp_path / "exp"
    train_kmeans.main(
        ["--data-dir", audio, "--features", "mfcc", "--clusters", "4", "--output", f"{tmp_path}/km"]
    )
    (tmp_path / "hubert.yaml").write_text(HUBERT)
    options = ["--config", f"{tmp_path}/hubert.yaml", "--train-data", audio, "--valid-data", audio]
    options += ["--labels-kmeans", f"{tmp_path}/km", "--expdir", str(expdir)]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    processes = start_two(options, environment)
    while not (expdir / "metrics.jsonl").exists() and not any(process.poll() for process in processes):
        time.sleep(0.05)
    for process in processes:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.15)
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGTERM] * 2, errors
    assert all(
        error.rstrip().endswith("interrupted; run the same command again to go on") for error in errors
    )
    (folder,) = find_checkpoints(expdir)
    step = read_state(folder)["step"]
    assert 0 < step < 200 and [path.name for path in (expdir / "checkpoints").iterdir()] == [folder.name]

    made = {path: path.stat().st_mtime_ns for path in (expdir / "labels").iterdir()}
    assert {path.name for path in made} >= {"train.scp", "valid.scp"}
    processes = start_two([*options, "--training.max-steps", str(step + 2)], environment)
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert f"going on from step {step}" in errors[0]
    assert made == {path: path.stat().st_mtime_ns for path in (expdir / "labels").iterdir()}
    exported = HubertModel.from_pretrained(expdir / "hubert").state_dict()
    trained = load_tensors(expdir / "model.safetensors")
    assert all(torch.equal(value, trained[f"hubert.{name}"]) for name, value in exported.items())
