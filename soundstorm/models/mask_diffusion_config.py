"""Sizes of mask diffusion and the chain of its noise. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option

CONDITIONINGS = ("cross", "sum")
KEPT = (0.99999, 9e-6)  # of a code, at the first and at the last step of the chain
FIRST_MASKED = 9e-6


@dataclass(frozen=True)
class MaskDiffusionConfig:
    """The defaults are those of the public implementation, an unofficial SoundStorm."""

    layers: int = option(16, "Transformer blocks")
    width: int = option(512, "model width D, of the U-Net and of the embeddings too")
    heads: int = option(8, "attention heads")
    inner: int = option(2048, "width inside the feed-forwards")
    dropout: float = option(0.0, "dropout in the feed-forwards")
    conditioning: str = option(
        "cross", "how the network sees semantic tokens and prompt. cross: by attention to them, so that it "
                 "has to learn which belongs to which frame; sum: each added to its frame, as SoundStorm does"
    )  # fmt: skip

    def __post_init__(self):
        for name in ("layers", "width", "heads", "inner"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if self.width % (2 * self.heads):
            raise InputError(
                f"model.width is {self.width}, expected model.heads ({self.heads}) times an even number"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.dropout is {self.dropout}, expected a number in [0, 1)")
        if self.conditioning not in CONDITIONINGS:
            raise InputError(f"model.conditioning is {self.conditioning!r}, expected cross or sum")


@dataclass(frozen=True)
class DiffusionConfig:
    """The chain that turns codes into masks and random codes, and its loss; the defaults are as published."""

    steps: int = option(100, "steps T of the chain")
    uniform: float = option(
        0.1, "share of random codes at the end of the chain, the rest being masked; 0: masks only (absorbing)"
    )
    auxiliary_weight: float = option(5e-4, "weight of the cross-entropy beside the bound")
    auxiliary_rises: bool = option(
        False, "let that weight grow with the noise, as the public implementation does; VQ-Diffusion's falls"
    )

    def __post_init__(self):
        if self.steps < 2:  # the first hides next to nothing, and decoding begins at the last
            raise InputError(f"diffusion.steps is {self.steps}, expected at least 2")
        least, most = KEPT[1], 1 - FIRST_MASKED  # beyond them rates of random codes or of masks are below zero
        if self.uniform != 0 and not least < self.uniform < most:
            raise InputError(f"diffusion.uniform is {self.uniform}, expected 0 or a number in ({least:g}, {most:g})")
        if self.auxiliary_weight < 0:
            raise InputError(f"diffusion.auxiliary_weight is {self.auxiliary_weight}, expected 0 or more")
