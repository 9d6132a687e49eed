"""One update of the weights: every phase of a step, over all batches and processes that share it."""

import logging
import math
from contextlib import AbstractContextManager, nullcontext

import torch
from accelerate import Accelerator
from torch import nn

from soundstorm.data.errors import InputError, TrainingFailed
from soundstorm.training import layout
from soundstorm.training.interrupts import Interrupts
from soundstorm.training.metrics import Metrics
from soundstorm.training.run_state import RunState
from soundstorm.training.step import Loss, TrainingStep
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)


class Updater:
    """Calls the step's loss, and optimizers with gradients of the mean over the items of all processes."""

    def __init__(
        self,
        step: TrainingStep,
        networks: dict[str, nn.Module],
        optimizers: dict,
        accelerator: Accelerator,
        config: TrainerConfig,
        metrics: Metrics,
        interrupts: Interrupts,
        state: RunState,
    ):
        """
        Args:
            step: whose loss.
            networks: the step's, as accelerate has prepared them.
            optimizers: of each phase, prepared too.
            accelerator, config: of the run.
            metrics: where figures go.
            interrupts: whose notes travel with the number of items.
            state: where skipped updates are counted.
        """
        self.step, self.networks, self.raw, self.optimizers = step, networks, step.networks, optimizers
        self.accelerator, self.config = accelerator, config
        self.metrics, self.interrupts, self.state = metrics, interrupts, state
        self._trainable = {
            name: [p.requires_grad for p in net.parameters()] for name, net in self.raw.items()
        }

    def __call__(self, batches: list[dict], *, rate: float, number: int) -> bool:
        """Update the weights, or leave them where a gradient is not finite.

        Args:
            batches: whose gradients are accumulated.
            rate: of learning.
            number: of the step, from 1, for people.

        Returns:
            Whether all phases were made.

        Raises:
            RuntimeError: ``max_skipped_steps`` in a row had a gradient that is not finite.
        """
        # Several phases keep outputs from one to the next, which more than one batch would overwrite.
        if len(self.step.phases) > 1 and len(batches) > 1:
            raise InputError("training.gradient_accumulation above 1 needs a model with one phase")
        for phase in self.step.phases:
            if not self._update(phase, batches, rate, number):
                return False  # the next phase would learn from the same broken outputs
        self.state.skipped_in_a_row = 0
        return True

    def _update(self, phase: str, batches: list[dict], rate: float, number: int) -> bool:
        optimizer, network = self.optimizers[phase], self.raw[phase]
        self._choose_weights(phase)
        # Codebooks learn in the forward pass, from what may turn out to be no numbers.
        buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
        losses = []
        for place, batch in enumerate(batches, start=1):
            with self._synchronized(phase, place == len(batches)):
                with self.accelerator.autocast():
                    loss = self.step.loss(phase, self.networks, batch)
                losses.append(loss)
                self.accelerator.backward(loss.total)
        self._scale_gradients(network, sum(float(loss.weight) for loss in losses))
        for group in optimizer.param_groups:
            group["lr"] = rate
        norm = self._clip(network, optimizer)
        finite = math.isfinite(norm)
        if finite or self.accelerator.scaler is not None:  # it skips the step by itself, and must know of it
            optimizer.step()
        optimizer.zero_grad()
        if not finite:
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)
            self._skip(phase, norm, number)
            return False
        for loss in losses:
            self._count(phase, loss)
        self.metrics.add_common(f"gradient_norm/{phase}", norm)
        return True

    def _choose_weights(self, phase: str) -> None:
        """Gradients are computed of the weights of one network only."""
        if len(self.raw) == 1:
            return
        for name, network in self.raw.items():
            for parameter, trainable in zip(network.parameters(), self._trainable[name], strict=True):
                parameter.requires_grad_(trainable and name == phase)

    def _synchronized(self, phase: str, last: bool) -> AbstractContextManager:
        """Gradients travel between processes with the last batch of a step only."""
        network = self.networks[phase]
        if layout.is_sharded(network):
            network.set_requires_gradient_sync(last)
        elif not last and network is not self.raw[phase]:
            return self.accelerator.no_sync(network)
        return nullcontext()

    def _scale_gradients(self, network: nn.Module, weight: float) -> None:
        """From gradients of sums to the gradient of the mean over all items of all processes."""
        processes, notes = self.accelerator.num_processes, self.interrupts.notes()
        if processes > 1:
            totals = torch.tensor([weight, *notes], device=self.accelerator.device)
            weight, *notes = self.accelerator.reduce(totals, reduction="sum").tolist()
        self.interrupts.agree(notes)
        factor = processes / max(weight, 1e-8)  # DDP and FSDP have already divided by the number of processes
        gradients = [layout.local_shard(p.grad) for p in network.parameters() if p.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, factor)

    def _clip(self, network: nn.Module, optimizer) -> float:
        self.accelerator.unscale_gradients(optimizer)
        limit = self.config.clip_norm or math.inf
        return float(layout.full_tensor(torch.nn.utils.clip_grad_norm_(network.parameters(), limit)))

    def _skip(self, phase: str, norm: float, number: int) -> None:
        scaler = self.accelerator.scaler
        if scaler is not None and scaler.get_scale() >= 1:
            logger.info("step %d: skipped, the loss is scaled by %g from now on", number, scaler.get_scale())
            return  # looking for its scale
        state = self.state
        state.skipped += 1
        state.skipped_in_a_row += 1
        logger.warning(
            "step %d: skipped, the gradient of %s is %g (%d so far)", number, phase, norm, state.skipped
        )
        if state.skipped_in_a_row >= self.config.max_skipped_steps:
            raise TrainingFailed(
                f"{self.metrics.path.parent}: the gradient of {phase} is {norm} at step {number}, as in the "
                f"{state.skipped_in_a_row - 1} before; lower training.learning_rate, or look for broken "
                "training data"
            )

    def _count(self, phase: str, loss: Loss) -> None:
        count_loss(self.metrics, loss, "" if phase == "model" else f"{phase}/")


def count_loss(metrics: Metrics, loss: Loss, prefix: str = "") -> None:
    """Add a loss and its figures to the sums."""
    metrics.add(f"{prefix}loss", loss.total.detach(), loss.weight)
    for name, (total, count) in loss.metrics.items():
        metrics.add(f"{prefix}{name}", total, count)
