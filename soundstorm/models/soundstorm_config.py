"""Sizes of SoundStorm. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class SoundStormConfig:
    """The defaults are the paper's (section 4.1): 350M parameters."""

    layers: int = option(12, "Conformer blocks")
    width: int = option(1024, "model width D, and size of the token embeddings")
    heads: int = option(16, "attention heads")
    inner: int = option(4096, "width inside the feed-forwards")
    kernel: int = option(5, "kernel of the depthwise convolution, frames")
    expansion: int = option(2, "widening inside the convolution module; 2 gives the paper's parameter count")
    dropout: float = option(0.1, "dropout; not given in the paper")
    combine: str = option(
        "sum", "how the codes of a frame are combined. sum: of their embeddings, as in the paper; unet: a "
               "shallow U-Net over the codebooks, as in the unofficial SoundStorm"
    )  # fmt: skip

    def __post_init__(self):
        if self.combine not in ("sum", "unet"):
            raise InputError(f"model.combine is {self.combine!r}, expected sum or unet")
        for name in ("layers", "width", "heads", "inner", "kernel", "expansion"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if self.width % (2 * self.heads):
            raise InputError(
                f"model.width is {self.width}, expected model.heads ({self.heads}) times an even number"
            )
        if self.kernel % 2 == 0:
            raise InputError(f"model.kernel is {self.kernel}, expected an odd number")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.dropout is {self.dropout}, expected a number in [0, 1)")


@dataclass(frozen=True)
class InitConfig:
    """Where training starts."""

    codebooks: bool = option(
        False,
        "start embeddings and heads from the codec's codebooks instead of at random; learns from less data",
    )
