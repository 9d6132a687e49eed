"""Every step class in two processes: equal to one, ended by a signal to one of them, gone on with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soundstorm.training.checkpoint import find_checkpoints, load_tensors
from tests.training import step_worker
from tests.training.models import MODELS, write_data

SHARED = [name for name in MODELS if name != "codec"]  # weights that FSDP can share: those of one network
QUICK = ("soundstorm", "codec", "consistency")  # of the others all but the first test is an integration test


def cases(names, quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.integration) for name in names]


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


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    words = [f"{name}:straight" for name in MODELS]
    return make_runs(tmp_path_factory.mktemp("straight"), words, words)


def make_all(folder, names):
    shared = [f"{name}:sharded" for name in names if name in SHARED]
    one = [f"{name}:{way}" for name in names for way in ("straight", "half")]
    two = [f"{name}:{way}" for name in names for way in ("interrupted", "half", "second_half")] + shared
    return make_runs(folder, one, two, [f"{name}:second_half" for name in names])


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("quick"), QUICK)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("others"), [name for name in MODELS if name not in QUICK])


def runs_of(request, name: str) -> Path:
    return request.getfixturevalue("quick" if name in QUICK else "others")


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
def test_two_processes_equal_one_on_the_same_global_batches(straight, name):
    check_alike(straight / "one" / name / "straight", straight / "two" / name / "straight")


@pytest.mark.parametrize("name", cases(SHARED, QUICK))
def test_weights_that_two_processes_share_equal_those_of_one(request, name):
    runs = runs_of(request, name)
    check_alike(runs / "one" / name / "straight", runs / "two" / name / "sharded")


@pytest.mark.parametrize("name", cases(MODELS, QUICK))
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
@pytest.mark.parametrize("name", cases(MODELS, QUICK))
def test_a_checkpoint_goes_on_with_another_number_of_processes(request, name, taker):
    runs = runs_of(request, name)
    check_figures(runs / "one" / name / "straight", runs / taker / name / "second_half")
