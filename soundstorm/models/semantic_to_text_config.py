"""Settings of the model that writes texts for semantic tokens. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class SemanticToTextConfig:
    """An encoder of semantic tokens with a CTC output over bytes."""

    layers: int = option(4, "Transformer blocks")
    dim: int = option(256, "width")
    heads: int = option(4, "attention heads")
    head_dim: int = option(64, "width of a head")
    ffn_dim: int = option(768, "inner width of the feed-forward parts")
    convolutions: int = option(
        2, "convolutions of width 5 before the blocks: a letter is heard from a few frames"
    )
    dropout: float = option(0.1, "dropout")

    def __post_init__(self):
        for name in ("layers", "dim", "heads", "head_dim", "ffn_dim"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if self.head_dim % 2:
            raise InputError(f"model.head_dim is {self.head_dim}, expected an even number (rotary positions)")
        if self.convolutions < 0:
            raise InputError(f"model.convolutions is {self.convolutions}, expected 0 or more")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.dropout is {self.dropout}, expected a number in [0, 1)")


@dataclass(frozen=True)
class TranscriptionConfig:
    """How texts are written for utterances that have none."""

    temperature: float = option(0.5, "of the letters sampled, frame by frame; 0 takes the most likely ones")
    seed: int = option(0, "of the sampling; each utterance has its own stream")

    def __post_init__(self):
        if self.temperature < 0 or self.seed < 0:
            raise InputError(
                f"transcribe.temperature is {self.temperature} and transcribe.seed {self.seed}, expected 0 "
                "or more"
            )
