"""What a run carries from one step to the next: saved in checkpoints, and gone on with."""

from __future__ import annotations

import copy
import logging
import os
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from soundstorm.data.errors import InputError
from soundstorm.data.experiment import MODEL_FILE
from soundstorm.data.sampler import BatchSampler
from soundstorm.data.shared_files import MOST_SECONDS, wait_until
from soundstorm.training import checkpoint, layout
from soundstorm.training.metrics import Metrics
from soundstorm.training.optim import MovingAverage
from soundstorm.training.step import TrainingStep
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)

COUNTS = ("step", "epoch", "batch", "skipped", "skipped_in_a_row")


class RunState:
    """Networks, optimizers, average, figures and generators of a run, and its position."""

    def __init__(
        self,
        step: TrainingStep,
        optimizers: dict,
        average: MovingAverage | None,
        accelerator: Accelerator,
        metrics: Metrics,
        config: TrainerConfig,
        expdir: Path,
    ):
        """Refer to the parts; every process of a run has one."""
        self._step, self._optimizers, self._average = step, optimizers, average
        self._accelerator, self._metrics, self._config, self._expdir = accelerator, metrics, config, expdir
        self.step, self.epoch, self.batch = 0, 0, 0  # steps done, epoch, batches used of it
        self.skipped, self.skipped_in_a_row = 0, 0  # updates whose gradient was not finite

    def save(self) -> None:
        """Write a checkpoint; every process must call it."""
        main, accelerator = self._accelerator.is_main_process, self._accelerator
        writer = checkpoint.CheckpointWriter(self._expdir, self.step)
        if main:
            writer.begin()
        accelerator.wait_for_everyone()
        writer.tensors(f"rng.{accelerator.process_index}", checkpoint.rng_tensors())
        tables = {name: network.state_dict() for name, network in self._step.networks.items()}
        if self._average:
            tables["ema"] = self._average.values
        for phase, optimizer in self._optimizers.items():
            tables[f"optimizer.{phase}"] = checkpoint.optimizer_tensors(optimizer)
        carried = self._step.state() if hasattr(self._step, "state") else {}
        if carried:
            tables["carried"] = carried
        for name, table in tables.items():
            tensors = layout.gather_tensors(table, keep=main)  # by all processes, which may each hold a shard
            if main:
                writer.tensors(name, tensors)
        sums = self._metrics.merge()
        accelerator.wait_for_everyone()
        if main:
            scaler = accelerator.scaler
            state = {name: getattr(self, name) for name in COUNTS}
            state |= {"batch_size": self._config.batch_size, "batch_seconds": self._config.batch_seconds}
            state |= {"world_size": accelerator.num_processes}
            state |= {"sums": sums, "scaler": scaler.state_dict() if scaler is not None else None}
            writer.commit(state, self._config.keep_checkpoints)
        accelerator.wait_for_everyone()

    def resume(self, sampler: BatchSampler) -> None:
        """Go on from the newest checkpoint, if there is one.

        Args:
            sampler: of the run, whose batches may be of another size than those of the checkpoint.

        Raises:
            ValueError: it is damaged, of another model, past the last step, or not seen by every process.
        """
        folder = self._choose()
        if folder is None:
            return
        try:
            self._restore(folder, sampler)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())
            if str(folder) in reason:
                raise
            raise InputError(
                f"{folder}: cannot go on from there ({reason:.300}); remove it to go on from the one before"
            ) from error
        if self.step > self._config.max_steps:
            raise InputError(
                f"{folder} is past the last step, training.max_steps is {self._config.max_steps}; give at "
                f"least {self.step}, or remove the checkpoint to go on from the one before"
            )
        logger.info("%s: going on from step %d", self._expdir, self.step)

    def _choose(self) -> Path | None:
        """The newest checkpoint that the first process sees; those on other machines may see it later."""
        found = checkpoint.find_checkpoints(self._expdir) if self._accelerator.is_main_process else []
        (name,) = broadcast_object_list([found[-1].name if found else None])
        if name is None:
            return None
        folder = self._expdir / "checkpoints" / name
        if not wait_until(folder.exists, [self._expdir, folder.parent]):
            raise InputError(
                f"{folder}: the first process goes on from there, but {os.uname().nodename} does not see it after "
                f"{MOST_SECONDS:.0f} s; give an experiment directory that all machines share"
            )
        return folder

    def _restore(self, folder: Path, sampler: BatchSampler) -> None:
        for name, network in self._step.networks.items():
            tensors = checkpoint.load_tensors(folder / f"{name}.safetensors")
            network.load_state_dict(layout.shard_like(tensors, network.state_dict()))
        if self._average:
            self._average.load(checkpoint.load_tensors(folder / "ema.safetensors"))
        for phase, optimizer in self._optimizers.items():
            tensors = checkpoint.load_tensors(folder / f"optimizer.{phase}.safetensors")
            checkpoint.load_optimizer_tensors(optimizer, tensors)
        if (folder / "carried.safetensors").exists():
            self._step.load_state(checkpoint.load_tensors(folder / "carried.safetensors"))
        state = checkpoint.read_state(folder)
        for name in COUNTS:
            setattr(self, name, state.get(name, 0))
        self._find_place(sampler, state)
        if self._accelerator.is_main_process:  # they are those of all processes
            self._metrics.sums = state["sums"]
        if state["scaler"] and self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])
        rng = folder / f"rng.{self._accelerator.process_index}.safetensors"
        if rng.exists():  # there is none for a rank that did not exist before
            checkpoint.load_rng_tensors(checkpoint.load_tensors(rng))

    def _find_place(self, sampler: BatchSampler, state: dict) -> None:
        """Where as much of the epoch is behind us, if batches are of another size from now on.

        Each process gets an item of every batch, so that many make them larger.
        """
        sizes = {name: state[name] for name in ("batch_size", "batch_seconds", "world_size") if name in state}
        if not sizes or all(getattr(sampler, name) == size for name, size in sizes.items()):
            return
        now, then = copy.copy(sampler), copy.copy(sampler)
        vars(then).update(sizes)
        now.epoch = then.epoch = self.epoch
        self.batch = round(self.batch * len(now) / len(then))

    def export(self) -> None:
        """Write the weights that decoding uses; every process must call it."""
        self._accelerator.wait_for_everyone()
        values = self._average.values if self._average else self._step.networks["model"].state_dict()
        values = layout.gather_tensors(values, keep=self._accelerator.is_main_process)
        if self._accelerator.is_main_process:
            checkpoint.save_tensors(self._expdir / MODEL_FILE, values, {"step": str(self.step)})
            os.sync()
        self._accelerator.wait_for_everyone()
