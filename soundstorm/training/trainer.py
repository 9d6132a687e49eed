"""The step loop every model shares; accelerate gives devices, precision and distribution.

A run is a pure function of its settings: each item of a batch carries its own seed (``data/sampler.py``), torch's
generators are saved, and so a resumed run equals an uninterrupted one bit for bit on a CPU.
"""

import json
import logging
import math
import os
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from soundstorm.data.data_dir import naming, write_text
from soundstorm.data.experiment import MODEL_FILE, is_finished
from soundstorm.data.sampler import BatchSampler
from soundstorm.training import checkpoint, layout
from soundstorm.training.config import TrainerConfig
from soundstorm.training.optim import MovingAverage, build_optimizer, learning_rate

logger = logging.getLogger(__name__)


@dataclass
class Loss:
    """A summed loss and what it was summed over."""

    total: Tensor  # sum over items of this process; the trainer divides by the weight of all processes
    weight: Tensor | float  # number of items: masked tokens, frames, utterances
    metrics: dict[str, tuple[Tensor | float, Tensor | float]] = field(default_factory=dict)  # name -> (sum, count)


class TrainingStep(Protocol):
    """What one model needs to be trained."""

    networks: dict[str, nn.Module]  # networks["model"] is averaged and exported
    phases: tuple[str, ...]  # phase p updates networks[p], in this order, every step

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict) -> Loss:
        """Loss of one phase. ``networks`` are the prepared ones; outputs may be kept for the next phase of the step.

        Optional companions: ``validate(networks, batch) -> Loss``; ``after_step(step) -> dict | None`` (metrics;
        raises RuntimeError to stop the run with a message); ``state() -> dict of tensors`` with
        ``load_state(tensors)``, for what the step carries from one step to the next beside its networks.
        """


def train(
    step: TrainingStep,
    train_dataset,
    valid_dataset,
    config: TrainerConfig,
    expdir: str | Path,
    stop_after: int | None = None,
) -> None:
    """Train to ``config.max_steps``, going on from the newest checkpoint, and export ``model.safetensors``.

    Args:
        step: the model and its loss.
        train_dataset: ``durations``, ``__len__``, ``__getitem__(SeededIndex) -> dict``,
            ``collate(list) -> dict of tensors``.
        valid_dataset: the same, or None.
        config: the settings.
        expdir: an experiment directory (see ``data/experiment.py``).
        stop_after: leave after this many steps of this process, with a checkpoint (for tests of resuming).
    """
    if is_finished(expdir):
        logger.info("%s: training is finished; nothing to do", expdir)
        return
    _Trainer(step, train_dataset, valid_dataset, config, Path(expdir)).run(stop_after)


class _Trainer:
    def __init__(self, step, train_dataset, valid_dataset, config: TrainerConfig, expdir: Path):
        self.step, self.config, self.expdir = step, config, expdir
        self.train_dataset, self.valid_dataset = train_dataset, valid_dataset
        # A step with several networks does not use all of them in each phase.
        several = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(
            # told to, it finds torchrun's processes on a machine without GPU as well
            cpu=not torch.cuda.is_available(),
            mixed_precision=config.precision,
            kwargs_handlers=[several],
            step_scheduler_with_optimizer=False,
        )
        self.main = self.accelerator.is_main_process
        torch.manual_seed(config.seed + self.accelerator.process_index)
        self.raw = step.networks
        for network in self.raw.values():
            network.to(self.accelerator.device)
        self.sharded = config.sharding == "full" and self.accelerator.num_processes > 1
        self._lay_out()
        self.optimizers = {phase: build_optimizer(self.raw[phase], config) for phase in step.phases}
        self.average = MovingAverage(self.raw["model"], config.ema_decay) if config.ema_decay else None
        self.done, self.epoch, self.batch = 0, 0, 0  # position: steps done, epoch, batches used of it
        self.sums: dict[str, list[float]] = {}  # name -> [sum, count] since the last line of metrics.jsonl
        self._resume()
        self.networks = {name: self._wrap(network) for name, network in self.raw.items()}
        for phase in step.phases:
            self.optimizers[phase] = self.accelerator.prepare_optimizer(self.optimizers[phase])
        self.interrupted: int | None = None

    def _lay_out(self) -> None:
        """What changes how the networks lie in memory, before anything refers to their weights."""
        config, model = self.config, self.raw["model"]
        if config.sharding == "full" and len(self.raw) > 1:
            raise ValueError(f"training.sharding full needs a model of one network, this has {', '.join(self.raw)}")
        if config.activation_checkpointing:
            layout.recompute_activations(model)
        if config.compile:
            for network in self.raw.values():
                layout.compile_network(network)
        if self.sharded:
            layout.shard(model, self.accelerator.device)

    def _wrap(self, network: nn.Module) -> nn.Module:
        if self.sharded:
            return network
        if self.accelerator.num_processes > 1 and any(p.requires_grad for p in network.parameters()):
            return self.accelerator.prepare_model(network)
        return network

    # -- data ------------------------------------------------------------------------------------------------------

    def _sampler(self, dataset, shuffle: bool) -> BatchSampler:
        return BatchSampler(
            dataset.durations,
            batch_size=self.config.batch_size,
            batch_seconds=self.config.batch_seconds,
            seed=self.config.seed if shuffle else self.config.seed + 1,
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
            shuffle=shuffle,
        )

    def _loader(self, dataset, batches: BatchSampler) -> DataLoader:
        return DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=dataset.collate,
            num_workers=self.config.num_workers,
            generator=torch.Generator(),  # else every new loader draws from the generator that dropout uses
        )

    def _batches(self):
        """Endless batches from the saved position on."""
        sampler = self._sampler(self.train_dataset, shuffle=True)
        while True:
            sampler.epoch, sampler.first_batch = self.epoch, self.batch
            for batch in self._loader(self.train_dataset, sampler):
                self.batch += 1
                yield self._to_device(batch)
            self.epoch, self.batch = self.epoch + 1, 0

    def _to_device(self, batch: dict) -> dict:
        device = self.accelerator.device
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self, stop_after: int | None) -> None:
        config = self.config
        last = config.max_steps if stop_after is None else min(config.max_steps, self.done + stop_after)
        self.writer = self._open_metrics() if self.main else None
        handlers = {s: signal.signal(s, self._interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
        self._train_mode()
        batches = self._batches()
        bar = tqdm(
            total=config.max_steps,
            initial=self.done,
            unit="step",
            desc=self.expdir.name,
            disable=not sys.stderr.isatty(),
        )
        self.clock, self.clock_step, self.waited = time.monotonic(), self.done, 0.0
        try:
            while self.done < last:
                self._one_step(batches)
                self.done += 1
                bar.update()
                if self.done % config.log_every == 0 or self.done == config.max_steps:
                    self._log_training()
                if self.valid_dataset is not None and (
                    self.done % config.valid_every == 0 or self.done == config.max_steps
                ):
                    self._validate()
                if self.done % config.save_every == 0 or self.done == last or self.interrupted:
                    self._save()
                if self.interrupted:
                    raise KeyboardInterrupt
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            bar.close()
            if self.writer:
                self.writer.close()
        if self.done == config.max_steps:
            self._export()

    def _interrupt(self, number, frame) -> None:
        self.interrupted = number
        logger.warning("signal %d: saving a checkpoint after this step", number)

    def _one_step(self, batches) -> None:
        rate = learning_rate(self.done, self.config)
        start = time.monotonic()
        micro = [next(batches) for _ in range(self.config.gradient_accumulation)]
        self.waited += time.monotonic() - start
        # A step with several phases keeps outputs from one to the next, which more than one batch would overwrite.
        if len(self.step.phases) > 1 and len(micro) > 1:
            raise ValueError("training.gradient_accumulation above 1 needs a model with one phase")
        for phase in self.step.phases:
            optimizer, network = self.optimizers[phase], self.raw[phase]
            for name, other in self.raw.items():
                if len(self.raw) > 1:
                    for parameter, trainable in zip(other.parameters(), self._trainable[name], strict=True):
                        parameter.requires_grad_(trainable and name == phase)
            weight = 0.0
            for number, batch in enumerate(micro, start=1):
                with self._synchronized(phase, number == len(micro)):
                    with self.accelerator.autocast():
                        loss = self.step.loss(phase, self.networks, batch)
                    weight += float(loss.weight)
                    self._count(phase, loss)
                    self.accelerator.backward(loss.total)
            self._scale_gradients(network, weight, optimizer)
            for group in optimizer.param_groups:
                group["lr"] = rate
            norm = self._clip(network, optimizer)
            if not math.isfinite(norm) and self.config.precision != "fp16":
                raise RuntimeError(
                    f"{self.expdir}: the gradient of {phase} is {norm} at step {self.done + 1}; "
                    "lower training.learning_rate, or look for broken training data"
                )
            self._add(f"gradient_norm/{phase}", norm, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        if self.average:
            self.average.update(self.raw["model"], self.done)
        if hasattr(self.step, "after_step"):
            for name, value in (self.step.after_step(self.done + 1) or {}).items():
                self._add(name, value, 1.0)

    def _synchronized(self, phase: str, last: bool) -> AbstractContextManager:
        """Gradients travel between processes with the last batch of a step only."""
        network = self.networks[phase]
        if self.sharded:
            network.set_requires_gradient_sync(last)
        elif not last and network is not self.raw[phase]:
            return self.accelerator.no_sync(network)
        return nullcontext()

    def _scale_gradients(self, network: nn.Module, weight: float, optimizer) -> None:
        """From gradients of sums to the gradient of the mean over all items of all processes."""
        processes = self.accelerator.num_processes
        if processes > 1:
            total = torch.tensor([weight], device=self.accelerator.device)
            weight = float(self.accelerator.reduce(total, reduction="sum"))
        factor = processes / max(weight, 1e-8)  # DDP and FSDP have already divided by the number of processes
        gradients = [layout.local(p.grad) for p in network.parameters() if p.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, factor)

    def _clip(self, network: nn.Module, optimizer) -> float:
        self.accelerator.unscale_gradients(optimizer)
        limit = self.config.clip_norm or math.inf
        return float(layout.whole(torch.nn.utils.clip_grad_norm_(network.parameters(), limit)))

    # -- figures ---------------------------------------------------------------------------------------------------

    def _add(self, name: str, total: float, count: float) -> None:
        kept = self.sums.setdefault(name, [0.0, 0.0])
        kept[0] += float(total)
        kept[1] += float(count)

    def _count(self, phase: str, loss: Loss) -> None:
        prefix = "" if phase == "model" else f"{phase}/"
        self._add(f"{prefix}loss", loss.total.detach(), loss.weight)
        for name, (total, count) in loss.metrics.items():
            self._add(f"{prefix}{name}", total, count)

    def _averages(self) -> dict[str, float]:
        """Means over all processes since the last call; every rank must call it."""
        names = sorted(self.sums)
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            gathered = gather_object([self.sums])
            names = sorted({name for sums in gathered for name in sums})
            merged = {n: [sum(s.get(n, [0, 0])[i] for s in gathered) for i in (0, 1)] for n in names}
        else:
            merged = self.sums
        self.sums = {}
        return {name: merged[name][0] / merged[name][1] for name in names if merged[name][1]}

    def _log_training(self) -> None:
        now = time.monotonic()
        seconds = max(now - self.clock, 1e-9)
        pace = f" ({(self.done - self.clock_step) / seconds:.2f} steps/s, {self.waited / seconds:.0%} waiting for data)"
        self.clock, self.clock_step, self.waited = now, self.done, 0.0
        values = {"learning_rate": learning_rate(self.done - 1, self.config), **self._averages()}
        self._write("train", values, pace)

    def _write(self, kind: str, values: dict[str, float], pace: str = "") -> None:
        if not self.main:
            return
        line = {"step": self.done, "epoch": self.epoch, "set": kind, **values}
        path = self.expdir / "metrics.jsonl"
        with naming(path), open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self.writer.add_scalar(f"{name}/{kind}", value, self.done)
        shown = " ".join(f"{n}={v:.4g}" for n, v in values.items() if "/" not in n and n != "learning_rate")
        logger.info("%s step %d/%d %s%s", kind, self.done, self.config.max_steps, shown, pace)

    def _open_metrics(self):
        """TensorBoard writer; lines of metrics.jsonl past the position (of a killed run) are dropped."""
        from torch.utils.tensorboard import SummaryWriter

        path = self.expdir / "metrics.jsonl"
        if path.exists():
            kept = []
            for line in path.read_bytes().splitlines():
                try:
                    if json.loads(line)["step"] <= self.done:
                        kept.append(line.decode() + "\n")
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue  # the last line of a killed run may be cut
            write_text(path, "".join(kept))
        return SummaryWriter(str(self.expdir / "tensorboard"), purge_step=self.done + 1)

    @torch.no_grad()
    def _validate(self) -> None:
        """Mean loss over the validation set, with the averaged weights, since those are the ones that decode."""
        kept, self.sums = self.sums, {}
        for network in self.raw.values():
            network.eval()
        if self.average:
            self.average.swap(self.raw["model"])
        try:
            loss_of = getattr(self.step, "validate", None) or (lambda n, b: self.step.loss("model", n, b))
            for batch in self._loader(self.valid_dataset, self._sampler(self.valid_dataset, shuffle=False)):
                with self.accelerator.autocast():
                    # unwrapped: with weights exchanged and no backward pass DDP has nothing to do
                    self._count("model", loss_of(self.raw, self._to_device(batch)))
            values = self._averages()
        finally:
            if self.average:
                self.average.swap(self.raw["model"])
            self._train_mode()
            self.sums = kept
        self._write("valid", values)

    def _train_mode(self) -> None:
        for network in self.raw.values():
            network.train()

    # -- saving ----------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        writer = checkpoint.CheckpointWriter(self.expdir, self.done)
        if self.main:
            writer.begin()
        self.accelerator.wait_for_everyone()
        writer.tensors(f"rng.{self.accelerator.process_index}", checkpoint.rng_tensors())
        tables = {name: network.state_dict() for name, network in self.raw.items()}
        if self.average:
            tables["ema"] = self.average.values
        for phase, optimizer in self.optimizers.items():
            tables[f"optimizer.{phase}"] = checkpoint.optimizer_tensors(optimizer)
        carried = self.step.state() if hasattr(self.step, "state") else {}
        if carried:
            tables["carried"] = carried
        for name, table in tables.items():
            tensors = layout.gather(table, keep=self.main)  # by all processes, which may each have a share
            if self.main:
                writer.tensors(name, tensors)
        self.accelerator.wait_for_everyone()
        if self.main:
            scaler = self.accelerator.scaler
            state = {"step": self.done, "epoch": self.epoch, "batch": self.batch, "sums": self.sums}
            state["scaler"] = scaler.state_dict() if scaler is not None else None
            writer.commit(state, self.config.keep_checkpoints)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        self._trainable = {n: [p.requires_grad for p in net.parameters()] for n, net in self.raw.items()}
        found = checkpoint.find_checkpoints(self.expdir)
        if not found:
            return
        folder = found[-1]
        try:
            self._restore(folder)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())
            if str(folder) in reason:
                raise
            raise ValueError(
                f"{folder}: cannot go on from there ({reason:.300}); remove it to go on from the checkpoint before"
            ) from error
        logger.info("%s: going on from step %d", self.expdir, self.done)

    def _restore(self, folder: Path) -> None:
        for name, network in self.raw.items():
            tensors = checkpoint.load_tensors(folder / f"{name}.safetensors")
            network.load_state_dict(layout.share(tensors, network.state_dict()))
        if self.average:
            self.average.load(checkpoint.load_tensors(folder / "ema.safetensors"))
        for phase, optimizer in self.optimizers.items():
            tensors = checkpoint.load_tensors(folder / f"optimizer.{phase}.safetensors")
            checkpoint.load_optimizer_tensors(optimizer, tensors)
        if (folder / "carried.safetensors").exists():
            self.step.load_state(checkpoint.load_tensors(folder / "carried.safetensors"))
        state = checkpoint.read_state(folder)
        self.done, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.sums = state["sums"]
        if state["scaler"] and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        rng = folder / f"rng.{self.accelerator.process_index}.safetensors"
        if rng.exists():  # there is none for a rank that did not exist before
            checkpoint.load_rng_tensors(checkpoint.load_tensors(rng))

    def _export(self) -> None:
        self.accelerator.wait_for_everyone()
        values = self.average.values if self.average else self.raw["model"].state_dict()
        values = layout.gather(values, keep=self.main)
        if self.main:
            checkpoint.save_tensors(self.expdir / MODEL_FILE, values, {"step": str(self.done)})
            os.sync()
        self.accelerator.wait_for_everyone()
