"""One process equals two on the same global batches, shared unequally: other utterances, lengths and masks."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soundstorm.data.sampler import BatchSampler
from soundstorm.models.masking import coarse_to_fine_mask
from soundstorm.training.checkpoint import load_tensors

WORKER = Path(__file__).with_name("ddp_worker.py")
pytestmark = pytest.mark.integration  # test_every_step.py has the quick ones


def load_worker():
    spec = importlib.util.spec_from_file_location("ddp_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with the data and what one process (``one``) and two (``two``) made of them."""
    folder, worker = tmp_path_factory.mktemp("distributed"), load_worker()
    worker.write_data(folder)
    worker.main(folder, folder / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(WORKER)]
    root = str(WORKER.parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    arguments = [str(folder), str(folder / "two")]
    done = subprocess.run(command + arguments, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("other models agree") == 2, done.stdout
    assert (folder / "two/steps/checkpoints/step-00000006/rng.1.safetensors").exists()  # there really were two
    return folder


def read_metrics(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_processes_train_the_weights_of_one(runs):
    one, two = (load_tensors(runs / name / "steps/model.safetensors") for name in ("one", "two"))
    for key in one:
        torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_two_processes_report_the_figures_of_one(runs):
    one, two = (read_metrics(runs / name / "steps/metrics.jsonl") for name in ("one", "two"))
    assert len(one) == 7  # six steps and a validation
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        compared = [key for key in a if key.startswith(("loss", "accuracy", "top10", "gradient_norm"))]
        assert compared
        for key in compared:
            assert b[key] == pytest.approx(a[key], rel=1e-4, abs=1e-6), key


def test_the_processes_have_other_numbers_of_masked_tokens(runs):
    """Else a mean of two means would be the mean of all, and the next test no test."""
    tokens, counts = load_worker().read_data(runs), []
    for rank in range(2):
        sampler = BatchSampler(tokens.durations, batch_size=5, seed=0, rank=rank, world_size=2)
        batch = tokens.collate([tokens[draw] for draw in next(iter(sampler))])
        masks = (batch[name] for name in ("prompt_end", "level", "dropped", "lengths"))
        counts.append(int(coarse_to_fine_mask(*masks, 3)[1].sum()))
    assert min(counts) > 0 and max(counts) > 1.2 * min(counts)


def test_the_gradient_of_two_unequal_processes_is_that_of_one_with_all_tokens(runs):
    one, two = (
        load_tensors(runs / name / "gradient/checkpoints/step-00000001/optimizer.model.safetensors")
        for name in ("one", "two")
    )
    moments = [key for key in one if key.endswith(".exp_avg")]  # after one step: the gradient times 1 - beta
    assert len(moments) > 10 and any(one[key].abs().max() > 1e-3 for key in moments)
    for key in moments:
        torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", ["accumulated", "sharded"])
def test_accumulation_and_shared_weights_train_the_weights_of_one_process(runs, name):
    """``sharded`` also computes activations again; with one process it shares nothing."""
    one, two = (load_tensors(runs / count / name / "model.safetensors") for count in ("one", "two"))
    plain = load_tensors(runs / "one" / ("steps" if name == "sharded" else name) / "model.safetensors")
    assert one.keys() == two.keys() == plain.keys()
    for key in one:
        for other in (two, plain):
            torch.testing.assert_close(
                one[key], other[key], rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}"
            )
    losses = [
        [line["loss"] for line in read_metrics(runs / count / name / "metrics.jsonl")] for count in ("one", "two")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4) and len(losses[0]) > 3


def test_a_sharded_run_that_was_interrupted_equals_one_that_was_not(runs):
    last = "checkpoints/step-00000006"
    names = sorted(path.name for path in (runs / "two/sharded" / last).glob("*.safetensors"))
    assert {"model.safetensors", "ema.safetensors", "optimizer.model.safetensors", "rng.1.safetensors"} <= set(names)
    for name in names:
        straight, resumed = (load_tensors(runs / "two" / run / last / name) for run in ("sharded", "sharded_resumed"))
        assert straight.keys() == resumed.keys()
        assert all(torch.equal(straight[key], resumed[key]) for key in straight), name


def test_the_checkpoint_of_a_sharded_run_is_that_of_any_other(runs):
    """Whole tensors of the same names and shapes: a run may go on with another number of processes."""
    for name in ("model", "ema", "optimizer.model"):
        ours, theirs = (
            load_tensors(runs / "two" / run / "checkpoints/step-00000003" / f"{name}.safetensors")
            for run in ("sharded", "steps")
        )
        assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
