"""Checkpoints without pickle: safetensors and JSON, written under a temporary name and renamed when whole.

``checkpoints/step-00000500/`` holds ``<network>.safetensors``, ``ema.safetensors``,
``optimizer.<phase>.safetensors``, ``rng.<rank>.safetensors``, ``state.json``, and ``carried.safetensors``
where the step has such. A directory of that name is complete by construction.
"""

import json
import os
import re
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from soundstorm.data.data_dir import whole_file, write_text
from soundstorm.data.errors import InputError
from soundstorm.data.records import read_json
from soundstorm.training.layout import shard_tensor_like


def checkpoint_dir(expdir: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return expdir / "checkpoints" / f"step-{step:08d}"


def find_checkpoints(expdir: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    folder = expdir / "checkpoints"
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name))


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Save tensors, whole or not at all. Shared memory is written twice rather than refused."""
    with whole_file(path) as temporary:
        try:
            save_file(
                {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()},
                temporary,
                metadata,
            )
        except SafetensorError as error:  # a full disk is one to it
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """What :func:`save_tensors` wrote.

    Raises:
        ValueError: it is missing or damaged.
    """
    try:
        tensors = load_file(path)
        broken = [
            name
            for name, value in tensors.items()
            if value.is_floating_point() and not value.isfinite().all()
        ]
        if broken:
            raise InputError(f"{broken[0]} has numbers that are NaN or infinite")
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); remove the checkpoint {path.parent} to go on from the one "
            "before"
        ) from error
    return tensors


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Per-parameter state as ``<parameter index>.<name>``; the rest follows from settings and step."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave.

    Raises:
        ValueError: the tensors are those of other parameters; torch would notice only at the next step.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in state.items():
        expected = {"step": torch.Size([]), "exp_avg": None, "exp_avg_sq": None}
        shape = parameters[index].shape if 0 <= index < len(parameters) else None
        shapes = {name: value.shape for name, value in values.items()}
        if shape is None or shapes != {name: shape if own is None else own for name, own in expected.items()}:
            raise InputError(
                f"the optimizer's state of parameter {index} has {shapes}, the parameter {shape}"
            )
    for index, values in state.items():
        state[index] = {name: shard_tensor_like(value, parameters[index]) for name, value in values.items()}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def rng_tensors() -> dict[str, Tensor]:
    """State of torch's generators, which dropout uses."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def load_rng_tensors(states: dict[str, Tensor]) -> None:
    """Put back what :func:`rng_tensors` gave."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


class CheckpointWriter:
    """Collects the files of one checkpoint in a temporary folder; :meth:`commit` gives it its name."""

    def __init__(self, expdir: Path, step: int):
        self.final = checkpoint_dir(expdir, step)
        self.folder = self.final.with_name(f".{self.final.name}.tmp")

    def begin(self) -> None:
        """Open an empty folder; whatever a killed run left there goes."""
        # What a killed process left may be of another step: one that was interrupted saves out of turn.
        for leftover in self.folder.parent.glob(".step-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write one file of the checkpoint."""
        save_tensors(self.folder / f"{name}.safetensors", tensors)

    def commit(self, state: dict, keep: int) -> None:
        """Write ``state.json``, rename, and remove the oldest checkpoints beyond ``keep``."""
        write_text(self.folder / "state.json", json.dumps(state, indent=2) + "\n")
        shutil.rmtree(self.final, ignore_errors=True)
        os.rename(self.folder, self.final)
        for old in find_checkpoints(self.final.parents[1])[:-keep]:
            shutil.rmtree(old, ignore_errors=True)


def read_state(folder: Path) -> dict:
    """What :meth:`CheckpointWriter.commit` wrote.

    Raises:
        ValueError: it is damaged, or that of another step.
    """
    path, remedy = folder / "state.json", f"remove the checkpoint {folder} to go on from the one before"
    try:
        state = read_json(path, remedy)
    except FileNotFoundError as error:
        raise InputError(str(error)) from error
    position = [state.get(name) for name in ("step", "epoch", "batch")]
    sums = state.get("sums")
    pairs = list(sums.values()) if isinstance(sums, dict) else [None]  # in fp16 they may be infinite
    counts = [state.get(name, 0) for name in ("skipped", "skipped_in_a_row")]
    sizes = [state.get(name) for name in ("batch_size", "batch_seconds")]
    processes = state.get("world_size", 1)
    if (
        any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in position)
        or checkpoint_dir(Path(), position[0]).name != folder.name
        or any(
            not isinstance(pair, list) or [type(number) for number in pair] != [float, float]
            for pair in pairs
        )
        or not isinstance(state.get("scaler"), (dict, type(None)))
        or any(type(number) is not int or number < 0 for number in counts)
        or any(type(size) not in (int, float, type(None)) for size in sizes)
        or type(processes) is not int
        or processes < 1
    ):
        raise InputError(f"{path}: not the state of {folder.name}; {remedy}")
    return state
