"""Settings of the acoustic consistency network. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class ConsistencyConfig:
    """The paper's network: features of an early layer, one Conformer layer, average over time, linear."""

    layer: int = option(4, "layer of the model of speech whose output is read (0: before the first)")
    width: int = option(512, "width of the Conformer layer")
    heads: int = option(8, "attention heads")
    embedding_dim: int = option(1024, "size of the embedding")
    dropout: float = option(0.1, "in the Conformer layer")

    def __post_init__(self):
        if self.layer < 0 or self.width < 1 or self.embedding_dim < 1:
            raise InputError(
                f"model.layer is {self.layer} (expected at least 0), model.width {self.width} and "
                f"model.embedding_dim {self.embedding_dim} (expected at least 1)"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.dropout is {self.dropout}, expected a number in [0, 1)")
        if self.heads < 1 or self.width % (2 * self.heads):
            raise InputError(
                f"model.width is {self.width}, expected {self.heads} heads (model.heads) times an even number"
            )


@dataclass(frozen=True)
class DataSources:
    """What an experiment was trained on."""

    train_data: str
    valid_data: str
    ssl_model: str
