"""The step loop every model shares; accelerate gives devices, precision and distribution.

A run is a pure function of its settings: each item of a batch carries its own seed (``data/sampler.py``),
torch's generators are saved, and so a resumed run equals an uninterrupted one bit for bit on a CPU.
"""

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from torch import nn
from tqdm import tqdm

from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_finished
from soundstorm.data.sampler import BatchSampler, SeededIndex
from soundstorm.models.devices import choose_device, precision_on
from soundstorm.training import layout
from soundstorm.training.batches import item_name, make_sampler, read_batches, warn_of_larger_batches
from soundstorm.training.interrupts import Interrupts
from soundstorm.training.metrics import Metrics
from soundstorm.training.normal_losses import read_normal, warn_if_far
from soundstorm.training.optim import MovingAverage, build_optimizer, learning_rate
from soundstorm.training.run_state import RunState
from soundstorm.training.step import TrainingStep
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.update import Updater, count_loss

logger = logging.getLogger(__name__)


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
            ``collate(list) -> dict of tensors``, and for messages ``name(index) -> str``, if there is one.
        valid_dataset: the same, or None.
        config: the settings.
        expdir: an experiment directory (see ``data/experiment.py``).
        stop_after: leave after this many steps of this process, with a checkpoint (for tests of resuming).

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM, its argument, reached a process; there is a checkpoint.
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
            mixed_precision=precision_on(choose_device("auto"), config.precision),
            kwargs_handlers=[several],
            step_scheduler_with_optimizer=False,
        )
        torch.manual_seed(config.seed + self.accelerator.process_index)
        self.raw = step.networks
        for network in self.raw.values():
            network.to(self.accelerator.device)
        self._lay_out()
        optimizers = {phase: build_optimizer(self.raw[phase], config) for phase in step.phases}
        self.average = MovingAverage(self.raw["model"], config.ema_decay) if config.ema_decay else None
        self.normal = read_normal(config.normal_losses, expdir)
        self.metrics, self.interrupts = Metrics(expdir, self.accelerator), Interrupts()
        self.state = RunState(step, optimizers, self.average, self.accelerator, self.metrics, config, expdir)
        sampler = self._sampler(train_dataset, shuffle=True)
        if self.accelerator.is_main_process:
            warn_of_larger_batches(sampler)
        self.state.resume(sampler)
        networks = {name: self._wrap(network) for name, network in self.raw.items()}
        prepared = {
            phase: self.accelerator.prepare_optimizer(optimizer) for phase, optimizer in optimizers.items()
        }
        self.update = Updater(
            step, networks, prepared, self.accelerator, config, self.metrics, self.interrupts, self.state
        )

    def _lay_out(self) -> None:
        """What changes how the networks lie in memory, before anything refers to their weights."""
        config, model = self.config, self.raw["model"]
        if config.sharding == "full" and len(self.raw) > 1:
            raise InputError(
                f"training.sharding full needs a model of one network, this has {', '.join(self.raw)}"
            )
        # transformers leaves out no layer of a network that is sharded.
        drops = [getattr(getattr(module, "config", None), "layerdrop", 0.0) for module in model.modules()]
        if config.sharding == "full" and any(drops):
            raise InputError(
                f"training.sharding is full and model.layer_drop {max(drops):g}, expected 0: layers cannot be left out "
                "of a network that is sharded; set one of them otherwise"
            )
        if config.activation_checkpointing:
            layout.recompute_activations(model)
        if config.compile:
            for network in self.raw.values():
                layout.compile_network(network)
        if config.sharding == "full" and self.accelerator.num_processes > 1:
            layout.shard(model, self.accelerator.device)

    def _wrap(self, network: nn.Module) -> nn.Module:
        shared = self.accelerator.num_processes > 1 and any(p.requires_grad for p in network.parameters())
        return (
            self.accelerator.prepare_model(network) if shared and not layout.is_sharded(network) else network
        )

    def _sampler(self, dataset, *, shuffle: bool) -> BatchSampler:
        rank, size = self.accelerator.process_index, self.accelerator.num_processes
        return make_sampler(dataset, self.config, rank=rank, world_size=size, shuffle=shuffle)

    def _read(self, dataset, sampler: BatchSampler) -> Iterator[tuple[list[SeededIndex], dict]]:
        return read_batches(dataset, sampler, self.accelerator.device, num_workers=self.config.num_workers)

    def _batches(self) -> Iterator[dict]:
        """Endless batches from the saved position on."""
        sampler, state = self._sampler(self.train_dataset, shuffle=True), self.state
        while True:
            sampler.epoch, sampler.first_batch = state.epoch, state.batch
            for _, batch in self._read(self.train_dataset, sampler):
                state.batch += 1
                yield batch
            state.epoch, state.batch = state.epoch + 1, 0

    def run(self, stop_after: int | None) -> None:
        config, state = self.config, self.state
        if config.warmup_steps >= config.max_steps:
            logger.warning(
                "training.warmup_steps is %d and training.max_steps %d: the learning rate never gets to %g; give a "
                "shorter training fewer steps of warm-up, a tenth of them or less, by --training.warmup-steps",
                config.warmup_steps, config.max_steps, config.learning_rate,
            )  # fmt: skip
        last = config.max_steps if stop_after is None else min(config.max_steps, state.step + stop_after)
        # One that was killed between a checkpoint and its validation makes up for it.
        validate = not self._open_metrics() and state.step > 0 and self._is_due(config.valid_every)
        self._train_mode()
        batches = self._batches()
        bar = tqdm(
            total=config.max_steps,
            initial=state.step,
            unit="step",
            desc=self.expdir.name,
            disable=not sys.stderr.isatty(),
        )
        self.clock, self.clock_step, self.waited = time.monotonic(), state.step, 0.0
        try:
            with self.interrupts:
                if validate and self.valid_dataset is not None:
                    self._validate()
                while state.step < last:
                    self._one_step(batches)
                    bar.update()
                    if self._is_due(config.log_every):
                        self._log_training()
                    if self.accelerator.num_processes == 1:  # nobody to agree with
                        self.interrupts.agree(self.interrupts.notes())
                    validate = self.valid_dataset is not None and self._is_due(config.valid_every)
                    # Validation reads other data and may fail by them: what was learned is safe before.
                    if (
                        validate
                        or self._is_due(config.save_every)
                        or state.step == last
                        or self.interrupts.agreed
                    ):
                        state.save()
                    if self.interrupts.agreed:
                        raise KeyboardInterrupt(self.interrupts.agreed)
                    if validate:
                        self._validate()
        finally:
            batches.close()  # ends the processes that load
            bar.close()
            self.metrics.close()
        if state.step == config.max_steps:
            state.export()

    def _is_due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self.config.max_steps

    def _open_metrics(self) -> bool:
        """On the process that writes them; whether the step that we begin at has been validated, on all."""
        validated = [self.metrics.open(self.state.step) if self.accelerator.is_main_process else False]
        return broadcast_object_list(validated)[0]

    def _one_step(self, batches: Iterator[dict]) -> None:
        state, config = self.state, self.config
        start = time.monotonic()
        accumulated = [next(batches) for _ in range(config.gradient_accumulation)]
        self.waited += time.monotonic() - start
        made = self.update(accumulated, rate=learning_rate(state.step, config), number=state.step + 1)
        if made and hasattr(self.step, "after_step"):
            for name, value in (self.step.after_step(state.step + 1) or {}).items():
                self.metrics.add_common(name, value)
        if made and self.average:  # of the weights as a step leaves them
            self.average.update(self.raw["model"], state.step)
        state.step += 1

    def _log_training(self) -> None:
        now, state = time.monotonic(), self.state
        seconds = max(now - self.clock, 1e-9)
        speed = (state.step - self.clock_step) / seconds
        pace = f" ({speed:.2f} steps/s, {self.waited / seconds:.0%} waiting for data)"
        self.clock, self.clock_step, self.waited = now, state.step, 0.0
        values = {"learning_rate": learning_rate(state.step - 1, self.config), **self.metrics.averages()}
        if state.skipped:
            values["skipped_steps"] = state.skipped
        self._write("train", values, pace)

    def _write(self, kind: str, values: dict[str, float], pace: str = "") -> None:
        step, epoch = self.state.step, self.state.epoch
        self.metrics.write(kind, values, step=step, epoch=epoch, steps=self.config.max_steps, pace=pace)
        if self.normal and "loss" in values and self.accelerator.is_main_process:
            warn_if_far(self.normal, kind, step, values["loss"], self.expdir)

    @torch.no_grad()
    def _validate(self) -> None:
        """Mean loss over the validation set, with the averaged weights, which are the ones that decode."""
        kept, self.metrics.sums = self.metrics.sums, {}
        for network in self.raw.values():
            network.eval()
        if self.average:
            self.average.swap(self.raw["model"])
        draws: list[SeededIndex] = []
        try:
            loss_of = getattr(self.step, "validate", None) or (lambda n, b: self.step.loss("model", n, b))
            for draws, batch in self._read(
                self.valid_dataset, self._sampler(self.valid_dataset, shuffle=False)
            ):
                with self.accelerator.autocast():
                    # unwrapped: with weights exchanged and no backward pass DDP has nothing to do
                    count_loss(self.metrics, loss_of(self.raw, batch))
                draws = []
            values = self.metrics.averages()
        except (ValueError, OSError, RuntimeError) as error:
            names = ", ".join(item_name(self.valid_dataset, draw.index) for draw in draws[:5])
            where = f" (with {names}{' and others' if len(draws) > 5 else ''})" if draws else ""
            kind = InputError if isinstance(error, (InputError, OSError)) else RuntimeError
            raise kind(
                f"{self.expdir}: validation at step {self.state.step} failed{where}: {error}; mend the "
                "validation set, then the same command goes on from the checkpoint of that step"
            ) from error
        finally:
            if self.average:
                self.average.swap(self.raw["model"])
            self._train_mode()
            self.metrics.sums = kept
        self._write("valid", values)

    def _train_mode(self) -> None:
        for network in self.raw.values():
            network.train()
