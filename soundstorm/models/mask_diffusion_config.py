"""Sizes of mask diffusion and the chain of its noise. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option

CONDITIONINGS = ("cross", "sum")
KEPT = (0.99999, 9e-6)  # of a code, at the first and at the last step of the chain
FIRST_MASKED = 9e-6


@dataclass(frozen=True)
class MaskDiffusionConfig(Config, section="model"):
    """The defaults are those of the public implementation, an unofficial SoundStorm."""

    layers: int = option(16, "Transformer blocks", at_least=1)
    width: int = option(512, "model width D, of the U-Net and of the embeddings too", at_least=1)
    heads: int = option(8, "attention heads", at_least=1)
    inner: int = option(2048, "width inside the feed-forwards", at_least=1)
    dropout: float = option(0.0, "dropout in the feed-forwards", at_least=0, less_than=1)
    conditioning: str = option(
        "cross", "how the network sees semantic tokens and prompt. cross: by attention to them, so that it "
                 "has to learn which belongs to which frame; sum: each added to its frame, as SoundStorm does",
        one_of=CONDITIONINGS,
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.width % (2 * self.heads):
            raise InputError(
                f"model.width is {self.width}, expected model.heads ({self.heads}) times an even number"
            )


@dataclass(frozen=True)
class DiffusionConfig(Config, section="diffusion"):
    """The chain that turns codes into masks and random codes, and its loss; the defaults are as published."""

    steps: int = option(100, "steps T of the chain", at_least=2)
    uniform: float = option(
        0.1, "share of random codes at the end of the chain, the rest being masked; 0: masks only (absorbing)"
    )
    auxiliary_weight: float = option(5e-4, "weight of the cross-entropy beside the bound", at_least=0)
    auxiliary_rises: bool = option(
        False, "let that weight grow with the noise, as the public implementation does; VQ-Diffusion's falls"
    )

    def __post_init__(self):
        super().__post_init__()
        least, most = KEPT[1], 1 - FIRST_MASKED  # beyond them rates of random codes or of masks are below zero
        if self.uniform != 0 and not least < self.uniform < most:
            raise InputError(f"diffusion.uniform is {self.uniform}, expected 0 or a number in ({least:g}, {most:g})")
