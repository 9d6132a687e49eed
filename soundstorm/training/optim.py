"""Optimizer, learning-rate schedule and the moving average of weights."""

import math

import torch
from torch import nn

from soundstorm.data.errors import InputError
from soundstorm.training.layout import local_shard, shard_like
from soundstorm.training.training_config import TrainerConfig


def build_optimizer(network: nn.Module, config: TrainerConfig) -> torch.optim.Adam:
    """AdamW, or Adam, with weight decay on matrices only: decaying biases and norms' gains only hurts."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim >= 2]
    plain = [p for p in network.parameters() if p.requires_grad and p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if config.decoupled_decay else torch.optim.Adam
    return kind(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=tuple(config.betas),
        eps=config.epsilon,
        fused=True,
    )


def learning_rate(step: int, config: TrainerConfig) -> float:
    """Learning rate of optimizer step ``step`` (0 is the first)."""
    peak, warmup = config.learning_rate, config.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, config.max_steps - warmup)
    if config.schedule == "constant":
        return peak
    if config.schedule == "linear":
        return peak * max(0.0, 1.0 - progress)
    if config.schedule == "cosine":
        return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    if config.schedule == "exponential":
        hold = max(config.hold_steps, warmup)
        decayed = min(1.0, max(0, step - hold) / max(1, config.max_steps - hold))
        return peak * (config.final_learning_rate / peak) ** decayed
    return peak * math.sqrt(max(1, warmup) / (step + 1))


class MovingAverage:
    """Exponential moving average of a network's weights; buffers are copied, not averaged.

    A codec's codebooks are buffers, and moving averages in themselves: averaged once more they lag behind. On
    egs/mini after 150, 300 and 375 steps the round trip's mel distance was 0.3528, 0.2853, 0.2669 with the
    codebooks as they are, 0.3536, 0.2860, 0.2674 with averaged ones, and 0.3540, 0.2912, 0.2747 without any
    average.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def load(self, values: dict[str, torch.Tensor]) -> None:
        """Go on from a checkpoint's average.

        Raises:
            ValueError: the average of another network.
        """
        shapes = [{name: value.shape for name, value in table.items()} for table in (values, self.values)]
        if shapes[0] != shapes[1]:
            different = sorted(
                {*shapes[0], *shapes[1]}, key=lambda name: shapes[0].get(name) == shapes[1].get(name)
            )
            raise InputError(f"the averaged weights are those of another network, see {different[0]}")
        for name, value in shard_like(values, self.values).items():
            self.values[name].copy_(value)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights; early on the average is short, to forget the random start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = {id(parameter) for parameter in network.parameters()}
        averaged, current = [], []
        tensors, again = _by_first_name(network)
        for name, value in tensors.items():
            if id(value) in parameters and value.is_floating_point():
                averaged.append(local_shard(self.values[name]))
                current.append(local_shard(value.detach()))
            else:
                self.values[name].copy_(value)
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
        self._repeat(again)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the network's weights with the averaged ones; call again to change back."""
        tensors, again = _by_first_name(network)
        for name, value in tensors.items():
            ours, theirs = local_shard(self.values[name]), local_shard(value.detach())
            kept = theirs.clone()
            theirs.copy_(ours)
            ours.copy_(kept)
        self._repeat(again)

    def _repeat(self, again: dict[str, str]) -> None:
        for name, first in again.items():
            self.values[name].copy_(self.values[first])


def _by_first_name(network: nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Weights and buffers, each once; and further names of tied ones, with the first, as T5's embedding has."""
    names: dict[int, str] = {}
    table = network.state_dict(keep_vars=True)
    again = {name: first for name, value in table.items() if (first := names.setdefault(id(value), name)) != name}
    return {name: value for name, value in table.items() if name not in again}, again
