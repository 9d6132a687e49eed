"""Settings of the acoustic consistency network. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class ConsistencyConfig(Config, section="model"):
    """The paper's network: features of an early layer, one Conformer layer, average over time, linear."""

    layer: int = option(4, "layer of the model of speech whose output is read (0: before the first)", at_least=0)
    width: int = option(512, "width of the Conformer layer", at_least=1)
    heads: int = option(8, "attention heads", at_least=1)
    embedding_dim: int = option(1024, "size of the embedding", at_least=1)
    dropout: float = option(0.1, "in the Conformer layer", at_least=0, less_than=1)

    def __post_init__(self):
        super().__post_init__()
        if self.width % (2 * self.heads):
            raise InputError(
                f"model.width is {self.width}, expected {self.heads} heads (model.heads) times an even number"
            )


@dataclass(frozen=True)
class DataSources:
    """What an experiment was trained on."""

    train_data: str
    valid_data: str
    ssl_model: str
