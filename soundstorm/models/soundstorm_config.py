"""Sizes of SoundStorm. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class SoundStormConfig(Config, section="model"):
    """The defaults are the paper's (model training): 350M parameters."""

    layers: int = option(12, "Conformer blocks", at_least=1)
    width: int = option(1024, "model width D, and size of the token embeddings", at_least=1)
    heads: int = option(16, "attention heads", at_least=1)
    inner: int = option(4096, "width inside the feed-forwards", at_least=1)
    kernel: int = option(5, "kernel of the depthwise convolution, frames", odd=True, at_least=1)
    expansion: int = option(
        2, "widening inside the convolution module; 2 gives the paper's parameter count", at_least=1
    )
    dropout: float = option(0.1, "dropout; not given in the paper", at_least=0, less_than=1)
    combine: str = option(
        "sum", "how the codes of a frame are combined. sum: of their embeddings, as in the paper; unet: a "
               "shallow U-Net over the codebooks, as in the unofficial SoundStorm", one_of=("sum", "unet")
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.width % (2 * self.heads):
            raise InputError(
                f"model.width is {self.width}, expected model.heads ({self.heads}) times an even number"
            )


@dataclass(frozen=True)
class InitConfig:
    """Where training starts."""

    codebooks: bool = option(
        False,
        "start embeddings and heads from the codec's codebooks instead of at random; learns from less data",
    )
