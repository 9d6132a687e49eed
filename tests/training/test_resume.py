"""Ten steps straight equal five, a kill, and five more, bit for bit, for every real model with all its chance.

Dropout, layer dropout, random crops, masks, quantizer dropout, k-means and replaced codes, two optimizers: each has its
own way to go on differently. The loop itself is tested on a toy in test_trainer.py.
"""

import json

import pytest
import torch

from soundstorm.training import checkpoint
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig
from tests.training.models import MODELS, write_data

SETTINGS = TrainerConfig(
    max_steps=10, batch_size=3, warmup_steps=2, learning_rate=2e-3, ema_decay=0.9, log_every=3, valid_every=4,
    save_every=5, keep_checkpoints=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


class Killed(Exception):
    pass


class Witness:
    """A step that keeps what it was shown and, asked to, dies at a batch without any farewell."""

    def __init__(self, step, dies_at: int | None = None):
        self.step, self.dies_at, self.seen = step, dies_at, []
        self.networks, self.phases = step.networks, step.phases

    def __getattr__(self, name):
        return getattr(self.step, name)

    def loss(self, phase, networks, batch):
        if phase == "model" and networks["model"].training:
            if len(self.seen) == self.dies_at:
                raise Killed
            tensors = {name: torch.as_tensor(value) for name, value in batch.items() if value is not None}
            self.seen.append({name: tensor.clone() for name, tensor in tensors.items()})
        return self.step.loss(phase, networks, batch)


def run(make, data, expdir, seed, dies_at=None):
    """One process's part of a training, from objects as a new process would make them."""
    torch.manual_seed(0)
    step, dataset = make(data, dropout=0.2)
    torch.manual_seed(seed)  # whatever came before must not matter
    witness = Witness(step, dies_at)
    expdir.mkdir(exist_ok=True)
    train(witness, dataset, dataset, SETTINGS, expdir)
    return witness


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_killed_run_goes_on_as_if_nothing_had_been(make, data, tmp_path):
    straight = run(make, data, tmp_path / "straight", seed=1)
    with pytest.raises(Killed):
        run(make, data, tmp_path / "killed", seed=2, dies_at=7)
    assert [p.name for p in checkpoint.find_checkpoints(tmp_path / "killed")] == ["step-00000005"]
    resumed = run(make, data, tmp_path / "killed", seed=3)

    assert len(straight.seen) == 10 and len(resumed.seen) == 5
    for one, two in zip(straight.seen[5:], resumed.seen, strict=True):  # order, crops, masks, noise
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)

    folders = [tmp_path / name / "checkpoints/step-00000010" for name in ("straight", "killed")]
    files = sorted(path.name for path in folders[0].iterdir())
    expected = {"model.safetensors", "ema.safetensors", "optimizer.model.safetensors", "rng.0.safetensors"}
    assert expected < set(files) and files == sorted(path.name for path in folders[1].iterdir())
    for name in (name for name in files if name.endswith(".safetensors")):
        one, two = (checkpoint.load_tensors(folder / name) for folder in folders)
        assert one.keys() == two.keys()
        assert [key for key in one if not torch.equal(one[key], two[key])] == [], name
    states = [checkpoint.read_state(folder) for folder in folders]
    assert states[0] == states[1]
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("straight", "killed")]
    assert [json.loads(line) for line in lines[0]] == [json.loads(line) for line in lines[1]]
