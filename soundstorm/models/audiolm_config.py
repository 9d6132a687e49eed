"""Settings of AudioLM's three language models. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class AudioLMConfig:
    """A decoder-only Transformer, the same for every stage; the defaults are the paper's 0.3B parameters."""

    layers: int = option(12, "Transformer blocks")
    width: int = option(1024, "model width D, and size of the token embeddings")
    heads: int = option(16, "attention heads")
    head_dim: int = option(
        128, "width of a head; not given in the paper, 128 and gated feed-forwards make its 0.3B"
    )
    inner: int = option(4096, "width inside the feed-forwards")
    dropout: float = option(0.1, "dropout")
    positions: str = option(
        "sequence", "what relative positions count: sequence (the paper, T5), or time: rotary ones from the "
                    "frame due to those seen: nothing to count, and faster"
    )  # fmt: skip
    position_buckets: int = option(32, "relative positions in the sequence that are told apart (T5)")
    max_distance: int = option(128, "distance from which on they are not (T5)")

    def __post_init__(self):
        for name in ("layers", "width", "heads", "head_dim", "inner"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.dropout is {self.dropout}, expected a number in [0, 1)")
        if self.positions not in ("sequence", "time"):
            raise InputError(f"model.positions is {self.positions!r}, expected sequence or time")
        if self.position_buckets < 4 or self.position_buckets % 4:
            raise InputError(f"model.position_buckets is {self.position_buckets}, expected a multiple of 4")
        if self.max_distance <= self.position_buckets // 2:
            raise InputError(
                f"model.max_distance is {self.max_distance}, expected more than half of "
                f"model.position_buckets ({self.position_buckets})"
            )
