"""Sizes of SoundStorm. Free of torch, so that fronts start fast."""

from dataclasses import dataclass, field


def _f(default, text):
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class SoundStormConfig:
    """The defaults are the paper's (section 4.1): 350M parameters."""

    layers: int = _f(12, "Conformer blocks")
    width: int = _f(1024, "model width D, and size of the token embeddings")
    heads: int = _f(16, "attention heads")
    inner: int = _f(4096, "width inside the feed-forwards")
    kernel: int = _f(5, "kernel of the depthwise convolution, frames")
    expansion: int = _f(2, "widening inside the convolution module; 2 gives the paper's parameter count")
    dropout: float = _f(0.1, "dropout; not given in the paper")


@dataclass(frozen=True)
class InitConfig:
    """Where training starts."""

    codebooks: bool = _f(
        False, "start embeddings and heads from the codec's codebooks instead of at random; learns from less data"
    )


@dataclass(frozen=True)
class MaskingConfig:
    """What the paper's masking leaves open or fixes tacitly."""

    unprompted: float = _f(0.0, "probability of an example without a prompt; the paper has only the chance 1/T")

    def __post_init__(self):
        if not 0 <= self.unprompted <= 1:
            raise ValueError(f"masking.unprompted is {self.unprompted}, expected a probability")
