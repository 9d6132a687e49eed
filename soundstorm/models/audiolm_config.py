"""Settings of AudioLM's three language models. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class AudioLMConfig(Config, section="model"):
    """A decoder-only Transformer, the same for every stage; the defaults are the paper's 0.3B parameters."""

    layers: int = option(12, "Transformer blocks", at_least=1)
    width: int = option(1024, "model width D, and size of the token embeddings", at_least=1)
    heads: int = option(16, "attention heads", at_least=1)
    head_dim: int = option(
        128, "width of a head; not given in the paper, 128 and gated feed-forwards make its 0.3B", at_least=1
    )
    inner: int = option(4096, "width inside the feed-forwards", at_least=1)
    dropout: float = option(0.1, "dropout", at_least=0, less_than=1)
    positions: str = option(
        "sequence", "what relative positions count: sequence (the paper, T5), or time: rotary ones from the "
                    "frame due to those seen: nothing to count, and faster", one_of=("sequence", "time")
    )  # fmt: skip
    position_buckets: int = option(
        32, "relative positions in the sequence that are told apart (T5)", multiple_of=4, at_least=4
    )
    max_distance: int = option(128, "distance from which on they are not (T5)")

    def __post_init__(self):
        super().__post_init__()
        if self.max_distance <= self.position_buckets // 2:
            raise InputError(
                f"model.max_distance is {self.max_distance}, expected more than half of "
                f"model.position_buckets ({self.position_buckets})"
            )
