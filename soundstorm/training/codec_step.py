"""Codec training: generator, discriminators, and the health of the codebooks."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from soundstorm.data.codebook import usage_and_perplexity
from soundstorm.data.errors import TrainingFailed
from soundstorm.models.codec.codec import Codec, CodecOutput
from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.losses import ADVERSARIAL_LOSSES, MultiScaleMelLoss
from soundstorm.training.step import Loss

logger = logging.getLogger(__name__)


class CodecStep:
    """What the trainer needs to train a codec, with or without discriminators."""

    def __init__(
        self,
        codec: Codec,
        discriminators: nn.Module | None,
        config: CodecLossConfig,
        *,
        sample_rate: int,
        quantizer_dropout: float,
    ):
        """
        Args:
            codec: the generator.
            discriminators: None to train without.
            config: weights of the losses and limits of health.
            sample_rate: Hz.
            quantizer_dropout: share of examples that keep a uniformly drawn number of RVQ levels.
        """
        self.networks: dict[str, nn.Module] = {"model": codec}
        self.phases: tuple[str, ...] = ("model",)
        if discriminators is not None:
            self.networks["discriminator"] = discriminators
            self.phases = ("model", "discriminator")
        self.config, self.quantizer_dropout = config, quantizer_dropout
        self.mel_loss = MultiScaleMelLoss(sample_rate, tuple(config.mel_windows), config.mel_style)
        self.adversarial_losses = ADVERSARIAL_LOSSES[config.discriminators]
        self.health = CodebookHealth(config.health_every, config.health_grace, config.min_usage)
        self._output: CodecOutput | None = None  # of the model phase, for the discriminator phase

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Sum over the batch's examples of the loss of one phase."""
        if phase == "discriminator":
            return self._discriminator_loss(networks, batch)
        # The count of updates is saved with the codec, so a resumed run knows its place. DDP advances it in
        # forward.
        adversarial = self._adversarial(finished=0)
        self._output = networks["model"](batch["wav"], batch["length"], self.draw_levels(batch["chance"]))
        return self._generator_loss(self._output, batch["wav"], adversarial)

    def validate(self, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Reconstruction with all levels: discriminators say nothing that can be compared between steps."""
        output = networks["model"](batch["wav"], batch["length"])
        return self._generator_loss(output, batch["wav"], adversarial=False)

    def after_step(self, step: int) -> dict[str, float] | None:
        """Usage and perplexity of every level, every ``health_every`` steps; stops after a collapse."""
        counts = self.networks["model"].quantizer.batch_counts
        return None if counts is None else self.health.update(step, counts)

    def state(self) -> dict[str, Tensor]:
        """What is carried from step to step beside the networks: the open window of code counts."""
        health = self.health
        carried = (
            {} if health.counts is None else {"counts": health.counts, "steps": torch.tensor(health.steps)}
        )
        return carried | ({"low": torch.tensor(health.low)} if health.low else {})

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on where :meth:`state` was taken."""
        if "counts" in tensors:
            self.health.counts = tensors["counts"].to(self.networks["model"].quantizer.counts.device)
            self.health.steps = int(tensors["steps"])
        self.health.low = int(tensors.get("low", 0))

    def draw_levels(self, chance: Tensor) -> Tensor:
        """Levels to keep (B,) from one number in [0, 1) per example:

        all, or uniformly one of 1..Q (section III.C); with groups, of the stages.
        """
        num_levels = self.networks["model"].quantizer.num_stages
        if self.quantizer_dropout == 0:
            return torch.full_like(chance, num_levels, dtype=torch.int64)
        drawn = 1 + (chance / self.quantizer_dropout * num_levels).long()
        return torch.where(chance < self.quantizer_dropout, drawn, num_levels).clamp(max=num_levels)

    def _adversarial(self, *, finished: int) -> bool:
        """Whether discriminators take part in this step.

        ``finished``: model phases of this step already run.
        """
        step = int(self.networks["model"].quantizer.num_updates) - finished  # 0 is the first
        return "discriminator" in self.networks and step >= self.config.discriminator_start

    def _generator_loss(self, output: CodecOutput, target: Tensor, adversarial: bool) -> Loss:
        config, size = self.config, len(target)
        self.mel_loss.to(target.device)
        parts = {
            "mel": (config.reconstruction_weight, self.mel_loss(output.wav, target)),
            "commitment": (config.commitment_weight, output.quantized.commitment),
        }
        if adversarial:
            # Not the DDP-wrapped one: its weights take no gradient in this phase.
            discriminators = self.networks["discriminator"]
            fake = discriminators(output.wav)
            with torch.no_grad():
                real = discriminators(target)
            parts["adversarial"] = (
                config.adversarial_weight,
                self.adversarial_losses.generator([layers[-1] for layers in fake]),
            )
            compared = map(discriminators.features, (real, fake))
            parts["feature"] = config.feature_weight, self.adversarial_losses.features(*compared)
        total = torch.stack([weight * value for weight, value in parts.values()]).sum() * size
        return Loss(total, size, {n: (value.detach().double() * size, size) for n, (_, value) in parts.items()})

    def _discriminator_loss(self, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        size = len(batch["wav"])
        if not self._adversarial(finished=1):
            # The trainer wants a gradient from every phase; before its time this one is zero.
            nothing = torch.stack([p.sum() for p in self.networks["discriminator"].parameters()]).sum() * 0
            return Loss(nothing, size)
        # Real and decoded in one call: DDP counts calls of forward against calls of backward.
        layers = networks["discriminator"](torch.cat([batch["wav"], self._output.wav.detach()]))
        judged = [outputs[-1].chunk(2) for outputs in layers]
        losses = self.adversarial_losses
        value = losses.discriminator([real for real, _ in judged], [fake for _, fake in judged])
        return Loss(value * size, size, {losses.name: (value.detach().double() * size, size)})


class CodebookHealth:
    """Counts the use of every code over windows of steps."""

    PATIENCE = 3  # windows: a dip of one passes often enough by itself

    def __init__(self, every: int, grace: int, min_usage: float):
        self.every, self.grace, self.min_usage = every, grace, min_usage
        self.counts: Tensor | None = None  # (Q, N) over the window so far
        self.steps = 0
        self.low = 0  # windows in a row in which too few codes were used

    def update(self, step: int, counts: Tensor) -> dict[str, float] | None:
        """Add the counts (Q, N) of one step; at the end of a window return the figures of each level.

        Past the grace period a level that used fewer than ``min_usage`` of its codes is warned of.

        Raises:
            RuntimeError: there was such a level in ``PATIENCE`` windows in a row.
        """
        self.counts = counts.clone() if self.counts is None else self.counts + counts
        self.steps += 1
        if self.steps < self.every:
            return None
        usage, perplexity = usage_and_perplexity(self.counts.cpu().numpy())
        self.counts, self.steps = None, 0
        self.low = self.low + 1 if step > self.grace and min(usage) < self.min_usage else 0
        if self.low:
            self._complain(step, usage.index(min(usage)), min(usage), counts.shape[1])
        named = {f"usage/level_{level + 1}": value for level, value in enumerate(usage)}
        return named | {f"perplexity/level_{level + 1}": value for level, value in enumerate(perplexity)}

    def _complain(self, step: int, level: int, usage: float, size: int) -> None:
        found = (
            f"level {level + 1} used {usage:.0%} of its {size} codes in the {self.every} steps before step "
            f"{step}, expected {self.min_usage:.0%} at least (loss.min_usage)"
        )
        if self.low < self.PATIENCE:
            logger.warning("%s; if that lasts for %d times as long, training stops", found, self.PATIENCE)
            return
        raise TrainingFailed(
            f"codebook collapse: {found}, and too few in the {self.PATIENCE - 1} times as many before; lower "
            "training.learning_rate, enlarge training.batch_size, or use a smaller model.codebook_size"
        )
