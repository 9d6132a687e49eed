"""Settings of the model that writes texts for semantic tokens. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class SemanticToTextConfig(Config, section="model"):
    """An encoder of semantic tokens with a CTC output over bytes."""

    layers: int = option(4, "Transformer blocks", at_least=1)
    dim: int = option(256, "width", at_least=1)
    heads: int = option(4, "attention heads", at_least=1)
    head_dim: int = option(64, "width of a head, for rotary positions", even=True, at_least=2)
    ffn_dim: int = option(768, "inner width of the feed-forward parts", at_least=1)
    convolutions: int = option(
        2, "convolutions of width 5 before the blocks: a letter is heard from a few frames", at_least=0
    )
    dropout: float = option(0.1, "dropout", at_least=0, less_than=1)


@dataclass(frozen=True)
class TranscriptionConfig(Config, section="transcribe"):
    """How texts are written for utterances that have none."""

    temperature: float = option(0.5, "of the letters sampled, frame by frame; 0 takes the most likely ones", at_least=0)
    seed: int = option(0, "of the sampling; each utterance has its own stream", at_least=0)
