"""One process of the tests of every step class: trains small models, in turn, in several ways."""

import os
import signal
import sys
from pathlib import Path

import torch

from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig
from tests.training.models import MODELS

STEPS = 6
RANK = int(os.environ.get("RANK", "0"))


def run(
    name: str,
    data: Path,
    expdir: Path,
    *,
    dropout: float = 0.0,
    signalled: bool = False,
    stop_after: int | None = None,
    **changes,
) -> None:
    """Train a model to its end, or until a signal reaches one of the processes."""
    torch.manual_seed(0)
    step, dataset = MODELS[name](data, dropout=dropout)
    for network in step.networks.values():  # some begin with zeros, and so without a gradient before them
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    settings = {"max_steps": STEPS, "batch_size": 5, "warmup_steps": 0, "learning_rate": 1e-3}
    settings |= {"ema_decay": 0.9, "log_every": 2, "valid_every": STEPS, "save_every": STEPS}
    settings |= {"keep_checkpoints": STEPS}
    expdir.mkdir(parents=True, exist_ok=True)
    if signalled:
        _signal_at(step, batch=2 if RANK == 0 else 3)
    config = TrainerConfig(**{**settings, **changes})
    train(step, dataset, dataset, config, expdir, stop_after=stop_after)


def _signal_at(step, batch: int) -> None:
    """SIGTERM for this process in the middle of a batch, counted from 0."""
    loss, seen = step.loss, []

    def signalling(phase, networks, values):
        if phase == "model" and networks["model"].training:
            if len(seen) == batch:
                os.kill(os.getpid(), signal.SIGTERM)
            seen.append(phase)
        return loss(phase, networks, values)

    step.loss = signalling


def interrupted(name: str, data: Path, expdir: Path, **changes) -> None:
    """A run with all its chance, ended by SIGTERM, and gone on with."""
    run(name, data, expdir / "straight", dropout=0.2, **changes)
    try:
        run(name, data, expdir / "resumed", dropout=0.2, signalled=True, **changes)
        raise AssertionError(f"{name}: SIGTERM did not end the run")
    except KeyboardInterrupt as stop:
        assert stop.args == (signal.SIGTERM,), stop.args
    assert [path.name for path in (expdir / "resumed/checkpoints").iterdir()] == ["step-00000003"]
    run(name, data, expdir / "resumed", dropout=0.2, **changes)


def main(data: Path, expdir: Path, words: list[str]) -> None:
    """Each word is ``<model>:<way>``."""
    torch.set_num_threads(1)
    for word in words:
        name, way = word.split(":")
        place = expdir / name / way
        if way == "straight":
            run(name, data, place, save_every=1)
        elif way == "sharded":
            run(name, data, place, save_every=1, sharding="full")
        elif way == "interrupted":
            interrupted(name, data, place)
        elif way == "half":  # what another number of processes is to go on with
            run(name, data, place, stop_after=STEPS // 2)
        elif way == "second_half":
            run(name, data, place)
        print(f"{word}: process {RANK} has done it", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
