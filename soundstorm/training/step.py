"""What the trainer asks of a model: a step with its networks, and the loss of a batch."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn


@dataclass
class Loss:
    """A summed loss and what it was summed over."""

    total: Tensor  # sum over items of this process; the trainer divides by the weight of all processes
    weight: Tensor | float  # number of items: masked tokens, frames, utterances
    metrics: dict[str, tuple[Tensor | float, Tensor | float]] = field(
        default_factory=dict
    )  # name -> (sum, count)


class TrainingStep(Protocol):
    """What one model needs to be trained."""

    networks: dict[str, nn.Module]  # networks["model"] is averaged and exported
    phases: tuple[str, ...]  # phase p updates networks[p], in this order, every step

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict) -> Loss:
        """Loss of one phase. ``networks`` are the prepared ones; outputs may be kept for the next phase.

        Optional companions: ``validate(networks, batch) -> Loss``; ``after_step(step) -> dict | None``
        (metrics; raises RuntimeError to stop the run with a message); ``state() -> dict of tensors`` with
        ``load_state(tensors)``, for what the step carries from one step to the next beside its networks.
        """


class OneNetwork:
    """What steps share that train one network, whatever their loss."""

    phases = ("model",)

    def __init__(self, model: nn.Module):
        self.networks: dict[str, nn.Module] = {"model": model}
