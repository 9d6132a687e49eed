"""The step loop: resuming, averaging, refusing, on a toy regression whose items draw their own noise."""

import json
import multiprocessing
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from soundstorm.data.sampler import BatchSampler
from soundstorm.training import checkpoint, run_state
from soundstorm.training.batches import warn_of_larger_batches
from soundstorm.training.optim import MovingAverage, build_optimizer, learning_rate
from soundstorm.training.step import Loss
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig


class NoisyLine:
    """Items y = 3x with noise drawn from the item's own seed."""

    def __init__(self, size: int = 23):
        self.durations = np.linspace(1, 3, size)

    def __len__(self):
        return len(self.durations)

    def __getitem__(self, draw):
        rng = np.random.default_rng(draw.seed)
        x = rng.normal(size=4).astype(np.float32)
        return {"x": x, "y": 3 * x.sum() + 0.1 * rng.normal()}

    def collate(self, items):
        return {
            "x": torch.tensor(np.stack([i["x"] for i in items])),
            "y": torch.tensor([i["y"] for i in items], dtype=torch.float32),
        }


class Recorder(NoisyLine):
    """Items that are their own numbers."""

    def __getitem__(self, draw):
        return {"x": np.full(4, draw.index, dtype=np.float32), "y": 0.0}


class LineStep:
    phases = ("model",)

    def __init__(self):
        torch.manual_seed(0)
        self.networks = {"model": nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))}
        self.seen = []

    def loss(self, phase, networks, batch):
        self.seen.append(batch["x"].clone())
        error = (networks["model"](batch["x"])[:, 0] - batch["y"]) ** 2
        return Loss(error.sum(), len(error), {"error": (error.detach().sum(), len(error))})


class TwoPlayerStep(LineStep):
    phases = ("model", "critic")

    def __init__(self):
        super().__init__()
        self.networks["critic"] = nn.Linear(1, 1)

    def loss(self, phase, networks, batch):
        if phase == "model":
            self.kept = networks["model"](batch["x"])
            return Loss(self.networks["critic"](self.kept).sum(), len(self.kept))
        return Loss((networks["critic"](self.kept.detach()) ** 2).sum(), len(self.kept))


def config(**changes):
    values = dict(
        max_steps=10, batch_size=4, warmup_steps=2, log_every=3, valid_every=5, save_every=5, ema_decay=0.9
    )
    return TrainerConfig(**{**values, **changes})


def run(folder, step=None, stop_after=None, **changes):
    step = step or LineStep()
    folder.mkdir(exist_ok=True)
    train(step, NoisyLine(), NoisyLine(5), config(**changes), folder, stop_after=stop_after)
    return step


@pytest.mark.parametrize("kind", [LineStep, TwoPlayerStep])
@pytest.mark.parametrize("cut", [3, 5, 8])
def test_an_interrupted_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, kind, cut):
    straight = run(tmp_path / "straight", kind())
    first = run(tmp_path / "cut", kind(), stop_after=cut)
    second = run(tmp_path / "cut", kind())
    names = sorted(p.name for p in (tmp_path / "straight/checkpoints/step-00000010").iterdir())
    assert (
        "ema.safetensors" in names and "optimizer.model.safetensors" in names and "rng.0.safetensors" in names
    )
    for name in [n for n in names if n.endswith(".safetensors")]:
        a, b = (
            checkpoint.load_tensors(tmp_path / d / "checkpoints/step-00000010" / name)
            for d in ("straight", "cut")
        )
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), f"{name} {key}"
    if kind is LineStep:  # data order, validation included
        assert all(torch.equal(a, b) for a, b in zip(straight.seen, first.seen + second.seen, strict=True))
    lines = [(tmp_path / d / "metrics.jsonl").read_text().splitlines() for d in ("straight", "cut")]
    assert lines[0] == lines[1]


@settings(max_examples=12, deadline=None)
@given(st.integers(5, 23), st.integers(1, 6), st.integers(0, 2), st.data())
def test_no_item_of_an_epoch_is_lost_or_repeated_wherever_a_run_is_cut(size, batch_size, epochs, data):
    """Runs of any length, one after the other, until some epochs are over and one more: each has every item once."""
    batches = -(-size // batch_size)
    cuts = data.draw(st.lists(st.integers(1, batches), max_size=3))
    total, dataset, seen = batches * (epochs + 1), Recorder(size), []
    with tempfile.TemporaryDirectory() as folder:
        done = 0
        for steps in [*cuts, total]:
            step = LineStep()
            settings = config(
                max_steps=total + 1, batch_size=batch_size, save_every=total, keep_checkpoints=1
            )
            train(step, dataset, None, settings, folder, stop_after=min(steps, total - done))
            seen += [index for batch in step.seen for index in batch[:, 0].long().tolist()]
            done += min(steps, total - done)
            if done == total:
                break
    for epoch in range(epochs + 1):
        assert sorted(seen[size * epoch : size * (epoch + 1)]) == list(range(size))
    assert len(seen) == size * (epochs + 1)


def test_a_finished_run_does_nothing_more(tmp_path):
    run(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    again = run(tmp_path)
    assert not again.seen
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_the_loss_goes_down_and_the_averaged_weights_are_exported(tmp_path):
    run(tmp_path, max_steps=300, learning_rate=0.02, valid_every=50, save_every=300)
    valid = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    valid = [x["loss"] for x in valid if x["set"] == "valid"]
    assert valid[-1] < 0.2 * valid[0]
    exported = checkpoint.load_tensors(tmp_path / "model.safetensors")
    average = checkpoint.load_tensors(tmp_path / "checkpoints/step-00000300/ema.safetensors")
    assert all(torch.equal(exported[k], average[k]) for k in exported)


def test_a_training_that_is_all_warm_up_says_so(tmp_path, caplog):
    run(tmp_path / "short", warmup_steps=10, max_steps=10)
    assert "warmup_steps is 10 and training.max_steps 10" in caplog.text
    caplog.clear()
    run(tmp_path / "long", warmup_steps=9, max_steps=10)
    assert "warmup_steps" not in caplog.text


def test_the_log_tells_how_much_of_the_time_is_spent_waiting_for_data(tmp_path, caplog):
    with caplog.at_level("INFO"):
        run(tmp_path)
    lines = [record.getMessage() for record in caplog.records if "train step" in record.getMessage()]
    assert len(lines) == 4 and all(re.search(r"steps/s, \d+% waiting for data\)$", line) for line in lines)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    run(tmp_path, save_every=2, keep_checkpoints=2)
    assert [p.name for p in checkpoint.find_checkpoints(tmp_path)] == ["step-00000008", "step-00000010"]


def test_a_checkpoint_that_a_killed_run_left_half_written_is_removed(tmp_path):
    # Out of turn: that run was being interrupted, and no later one saves a checkpoint of this step.
    half = tmp_path / "run/checkpoints/.step-00000007.tmp"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_text("half")
    run(tmp_path / "run")
    assert sorted(path.name for path in half.parent.iterdir()) == ["step-00000005", "step-00000010"]


def test_tensors_that_do_not_fit_are_an_error_that_fronts_show_as_one_line(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)  # stands for a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"x\.safetensors: cannot be written .*File too large"):
            checkpoint.save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_gradient_accumulation_equals_the_large_batch(tmp_path):
    class Whole(LineStep):
        def __init__(self):
            super().__init__()
            self.networks = {"model": nn.Linear(4, 1)}

    class Twelve(NoisyLine):
        def __init__(self):
            super().__init__(12)

    results = []
    for name, changes in {
        "large": dict(batch_size=12),
        "small": dict(batch_size=4, gradient_accumulation=3),
    }.items():
        torch.manual_seed(0)
        step = Whole()
        (tmp_path / name).mkdir()
        settings = config(
            max_steps=1, warmup_steps=0, schedule="constant", clip_norm=0, ema_decay=0, **changes
        )
        train(step, Twelve(), None, settings, tmp_path / name)
        results.append(step.networks["model"].weight.detach().clone())
    torch.testing.assert_close(results[0], results[1])


class BrokenStep(LineStep):
    """A loss that is infinite in some steps, counted from 0, and a buffer that learns in the forward pass."""

    def __init__(self, broken):
        super().__init__()
        self.networks["model"].register_buffer("learned", torch.zeros(()))
        self.broken = broken

    def loss(self, phase, networks, batch):
        loss = super().loss(phase, networks, batch)
        if not networks["model"].training:
            return loss
        factor = float("inf") if self.broken.pop(0) else 1.0
        with torch.no_grad():
            networks["model"].learned += factor
        return Loss(loss.total * factor, loss.weight, loss.metrics)


@pytest.mark.parametrize("precision", ["no", "fp16"])
def test_steps_whose_gradient_is_not_finite_change_nothing_and_are_counted(tmp_path, caplog, precision):
    step = BrokenStep([False, True, True, False])
    run(
        tmp_path,
        step,
        max_steps=4,
        warmup_steps=0,
        log_every=1,
        ema_decay=0.9,
        keep_checkpoints=4,
        save_every=1,
        precision=precision,
    )
    folders = checkpoint.find_checkpoints(tmp_path)
    for name in ("model", "ema", "optimizer.model"):
        tables = [checkpoint.load_tensors(folder / f"{name}.safetensors") for folder in folders]
        assert all(torch.equal(tables[0][key], other[key]) for other in tables[1:3] for key in tables[0])
        assert any(not torch.equal(tables[2][key], tables[3][key]) for key in tables[0])
    assert float(step.networks["model"].learned) == 2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    train_lines = [line for line in lines if line["set"] == "train"]
    assert [line.get("skipped_steps") for line in train_lines] == [None, 1, 2, 2]
    assert ["loss" in line for line in train_lines] == [True, False, False, True]
    assert "step 3: skipped, the gradient of model is" in caplog.text and "(2 so far)" in caplog.text


def test_only_a_run_of_gradients_that_are_not_finite_stops_the_training(tmp_path):
    run(tmp_path / "apart", BrokenStep([True, True, False] * 5), max_steps=15, max_skipped_steps=3)
    with pytest.raises(
        RuntimeError, match="gradient of model is (nan|inf) at step 10, as in the 9 before; lower"
    ):
        run(tmp_path / "all", BrokenStep([True] * 10))
    broken = [False, True, True, True, False]  # counted on over a new start
    run(tmp_path / "cut", BrokenStep(broken), stop_after=3, max_skipped_steps=3)
    with pytest.raises(RuntimeError, match="at step 4, as in the 2 before"):
        run(tmp_path / "cut", BrokenStep(broken), max_skipped_steps=3)


class Unreadable(NoisyLine):
    """A set of which one utterance cannot be read."""

    def __init__(self, size, error):
        super().__init__(size)
        self.error = error

    def name(self, index):
        return f"speaker-{index}"

    def __getitem__(self, draw):
        if draw.index == 1 and self.error:
            raise self.error
        return super().__getitem__(draw)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_item_that_cannot_be_read_is_named_in_one_line(tmp_path, num_workers):
    with pytest.raises(ValueError, match="^speaker-1: cut in half$"):
        train(
            LineStep(),
            Unreadable(9, ValueError("cut in half")),
            None,
            config(num_workers=num_workers),
            tmp_path,
        )


@pytest.mark.parametrize(
    "error", [ValueError("cut in half"), OSError("cut in half"), RuntimeError("cut in half")]
)
def test_validation_that_fails_costs_nothing_and_is_made_up_for(tmp_path, error):
    settings = config(valid_every=4, save_every=10)
    train(LineStep(), NoisyLine(), Unreadable(5, None), settings, tmp_path / "straight")
    for _ in range(2):  # the second time at once, where the first one has ended
        step = LineStep()
        with pytest.raises(ValueError, match="validation at step 4 failed: speaker-1: cut in half; mend"):
            train(step, NoisyLine(), Unreadable(5, error), settings, tmp_path / "cut")
        assert [path.name for path in checkpoint.find_checkpoints(tmp_path / "cut")] == ["step-00000004"]
    assert all(len(batch) < 4 for batch in step.seen)  # no training again
    train(LineStep(), NoisyLine(), Unreadable(5, None), settings, tmp_path / "cut")
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("straight", "cut")]
    assert lines[0] == lines[1]
    weights = [checkpoint.load_tensors(tmp_path / name / "model.safetensors") for name in ("straight", "cut")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_what_a_loss_of_validation_cannot_do_names_the_batch(tmp_path):
    class Short(LineStep):
        def validate(self, networks, batch):
            raise RuntimeError("cannot reshape tensor of 0 elements")

    with pytest.raises(
        RuntimeError, match=r"failed \(with speaker-\d, .*\): cannot reshape tensor of 0 elements"
    ):
        train(Short(), NoisyLine(), Unreadable(5, None), config(), tmp_path)


def test_batches_of_another_size_go_on_where_as_much_of_the_epoch_is_done(tmp_path):
    def settings(size):
        return config(max_steps=40, batch_size=size, save_every=100)

    train(LineStep(), Recorder(24), None, settings(2), tmp_path, stop_after=15)  # an epoch and a quarter
    step = LineStep()
    train(step, Recorder(24), None, settings(8), tmp_path, stop_after=4)
    indices = [sorted(batch[:, 0].long().tolist()) for batch in step.seen]
    assert [len(batch) for batch in indices] == [8] * 4
    state = checkpoint.read_state(checkpoint.find_checkpoints(tmp_path)[-1])
    assert (state["step"], state["epoch"], state["batch"]) == (19, 2, 2)


def test_a_checkpoint_of_more_processes_than_a_batch_had_items_goes_on_where_as_much_is_done(tmp_path):
    train(LineStep(), Recorder(24), None, config(max_steps=40, batch_size=2), tmp_path, stop_after=2)
    path = checkpoint.find_checkpoints(tmp_path)[-1] / "state.json"
    state = json.loads(path.read_text())
    assert (state["world_size"], state["batch"]) == (1, 2)
    path.write_text(json.dumps({**state, "world_size": 6}))  # of 4 batches, each of 6 items
    step = LineStep()
    train(step, Recorder(24), None, config(max_steps=40, batch_size=2), tmp_path, stop_after=1)
    state = checkpoint.read_state(checkpoint.find_checkpoints(tmp_path)[-1])
    assert (state["step"], state["epoch"], state["batch"]) == (3, 0, 7)


@pytest.mark.parametrize(
    "limit, message",
    [
        ({"batch_size": 4}, "batch_size is 4, .* each of 8 processes; .* 4 .*: batch_size 8"),
        (
            {"batch_seconds": 480.0},
            r"batch_seconds is 480, .* each of 64 processes, up to 873 s where items have 13.6 s; train in 35 processes"
            " at most, or .*: batch_seconds 873",
        ),
    ],
)
def test_more_processes_than_fit_into_a_batch_are_warned_of(caplog, limit, message):
    processes = 8 if "batch_size" in limit else 64
    lengths = np.linspace(1.0, 13.64, 200)
    warn_of_larger_batches(BatchSampler(lengths, **limit, world_size=processes))
    assert re.search(message, caplog.text)
    caplog.clear()
    fitting = 4 if "batch_size" in limit else 35
    warn_of_larger_batches(BatchSampler(lengths, **limit, world_size=fitting))
    assert not caplog.text


STALE = """
import sys
from pathlib import Path
from soundstorm.training import checkpoint, run_state
from tests.training.test_trainer import run
find, folder = checkpoint.find_checkpoints, Path(sys.argv[1])
if sys.argv[2] == "1":
    checkpoint.find_checkpoints = lambda expdir: find(expdir)[:1]
run(folder, max_steps=12, stop_after=1)
print("one more step")
"""


@pytest.mark.integration
def test_a_process_that_does_not_see_the_newest_checkpoint_goes_on_from_it_all_the_same(tmp_path):
    run(tmp_path / "exp", stop_after=8)
    assert [path.name[-2:] for path in checkpoint.find_checkpoints(tmp_path / "exp")] == ["05", "08"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        shared = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    shared |= {"PYTHONPATH": str(Path(__file__).parents[2]), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", STALE, str(tmp_path / "exp"), str(rank)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert all("one more step" in output for output, _ in said), said
    (folder,) = (path for path in checkpoint.find_checkpoints(tmp_path / "exp") if path.name.endswith("09"))
    assert (folder / "rng.1.safetensors").exists() and checkpoint.read_state(folder)["world_size"] == 2


def test_a_checkpoint_that_a_machine_does_not_see_is_named(tmp_path, monkeypatch):
    run(tmp_path, stop_after=5)
    monkeypatch.setattr(run_state, "broadcast_object_list", lambda names: ["step-00000009"])
    monkeypatch.setattr(run_state, "wait_until", lambda seen, folders: seen())
    with pytest.raises(ValueError, match="step-00000009: the first process goes on from there, but .* does not see it"):
        run(tmp_path)


def test_a_last_step_that_is_past_is_refused(tmp_path):
    run(tmp_path, stop_after=5)
    with pytest.raises(ValueError, match="past the last step, training.max_steps is 4; give at least 5"):
        run(tmp_path, max_steps=4)
    run(tmp_path, max_steps=5)
    (tmp_path / "model.safetensors").unlink()  # as the message says of a finished one that is to go on
    assert len(run(tmp_path, max_steps=7).seen) == 2 + 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(tmp_path, number, workers):
    """A signal to the whole group, as torchrun and Ctrl-C send it: to those that load the data too."""

    class Signalled(LineStep):
        def loss(self, phase, networks, batch):
            if len(self.seen) == 2:
                children = multiprocessing.active_children()
                assert len(children) == workers
                for child in children:
                    os.kill(child.pid, number)
                time.sleep(0.2 if workers else 0.0)
                os.kill(os.getpid(), number)
            return super().loss(phase, networks, batch)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop:
        run(tmp_path, Signalled(), num_workers=workers)
    assert stop.value.args == (number,) and signal.getsignal(number) == before
    assert [path.name for path in checkpoint.find_checkpoints(tmp_path)] == ["step-00000003"]


def test_a_damaged_checkpoint_is_named(tmp_path):
    run(tmp_path, stop_after=5)
    path = tmp_path / "checkpoints/step-00000005/model.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="model.safetensors: cannot be read .* remove the checkpoint"):
        run(tmp_path)


def test_the_average_follows_a_slow_twin():
    network = nn.Linear(2, 2)
    average = MovingAverage(network, 0.9)
    expected = network.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            network.weight.add_(torch.ones(2, 2))
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
    torch.testing.assert_close(average.values["weight"], expected)


def test_tied_weights_are_averaged_and_exchanged_once():
    """As T5 ties its embeddings: one tensor with two names."""
    network = nn.ModuleDict({"shared": nn.Embedding(3, 2), "embed": nn.Embedding(3, 2)})
    network["embed"].weight = network["shared"].weight
    alone = nn.Embedding(3, 2)
    alone.load_state_dict(network["shared"].state_dict())
    tied, single = MovingAverage(network, 0.9), MovingAverage(alone, 0.9)
    for step in range(5):
        for weight in (network["shared"].weight, alone.weight):
            weight.data.add_(1.0)
        tied.update(network, step)
        single.update(alone, step)
    trained = alone.weight.detach().clone()
    for average in (tied, single):  # there and back
        for weights in (single.values["weight"].clone(), trained):
            average.swap(network if average is tied else alone)
            assert torch.equal(network["embed"].weight if average is tied else alone.weight, weights)
    for name in ("shared.weight", "embed.weight"):
        assert torch.equal(tied.values[name], single.values["weight"])


@pytest.mark.parametrize(
    "schedule, last", [("constant", 1.0), ("linear", 0.01), ("cosine", 0.0), ("inverse_sqrt", 0.32)]
)
def test_schedules_rise_to_the_peak_and_end_as_named(schedule, last):
    settings = config(max_steps=100, warmup_steps=10, schedule=schedule, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert (
        rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1.0) and rates.index(max(rates)) == 9
    )
    assert rates[-1] == pytest.approx(last, abs=0.02)


def test_the_exponential_schedule_holds_and_falls_as_tacotron_2s_does():
    settings = config(
        max_steps=100_000, warmup_steps=0, schedule="exponential", learning_rate=1e-3, hold_steps=50_000,
        final_learning_rate=1e-5,
    )  # fmt: skip
    wanted = {0: 1e-3, 50_000: 1e-3, 75_000: 1e-4, 100_000: 1e-5, 120_000: 1e-5}
    assert {step: learning_rate(step, settings) for step in wanted} == pytest.approx(wanted)


def test_decay_that_is_not_decoupled_is_part_of_the_gradient():
    network = torch.nn.Linear(1, 1, bias=False)
    weight = network.weight.item()
    settings = config(decoupled_decay=False, weight_decay=0.5, learning_rate=0.1, epsilon=1.0)
    optimizer = build_optimizer(network, settings)
    network.weight.grad = torch.zeros(1, 1)
    optimizer.step()
    gradient = 0.5 * weight
    assert network.weight.item() == pytest.approx(weight - 0.1 * gradient / (abs(gradient) + 1.0), rel=1e-4)
