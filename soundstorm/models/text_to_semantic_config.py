"""Settings of the text-to-semantic model. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option
from soundstorm.models.soundstorm_config import SoundStormConfig

SCRATCH = "scratch"
SENTENCEPIECE_FILE = "text.model"  # in the experiment directory
CHARACTERS_FILE = "characters.txt"  # there too: those of the training texts, in one line
ENCODER_DIR = "encoder"  # there too: the shape (config.json) of a published encoder
REPORT_FILE = "free_running.json"  # there too: token errors of the trained weights
# What a published encoder can read.
OWN_IDS = "use text.tokenizer bytes with ByT5, and a T5's own spiece.model as text.sentencepiece_model with T5"


@dataclass(frozen=True)
class TextEncoderConfig(Config, section="model"):
    """What reads the text, in every text-to-semantic model."""

    encoder: str = option(
        SCRATCH, "scratch, or a published T5/ByT5: hub name or local directory (paper: google/byt5-large)"
    )
    freeze_encoder: bool = option(
        False, "train the rest only, as the paper does with a published encoder"
    )
    encoder_layers: int = option(4, "Transformer blocks of an encoder from scratch", at_least=1)
    encoder_dim: int = option(256, "width of an encoder from scratch", at_least=1)
    encoder_heads: int = option(4, "attention heads of an encoder from scratch", at_least=1)
    encoder_ffn_dim: int = option(768, "inner width of its feed-forward parts", at_least=1)
    encoder_convolutions: int = option(
        0, "convolutions of width 5 before those blocks: spelling is mostly local", at_least=0
    )
    head_dim: int = option(64, "width of an attention head, for rotary positions", even=True, at_least=2)
    dropout: float = option(0.1, "dropout in both halves", at_least=0, less_than=1)

    def __post_init__(self):
        super().__post_init__()
        if self.freeze_encoder and self.encoder == SCRATCH:
            raise InputError("model.freeze_encoder needs a published encoder in model.encoder, got 'scratch'")


@dataclass(frozen=True)
class TextToSemanticConfig(TextEncoderConfig):
    """Encoder-decoder from text to semantic tokens (SPEAR-TTS's S1, as SoundStorm's dialogue synthesis uses it)."""

    decoder_layers: int = option(4, "decoder blocks", at_least=1)
    decoder_dim: int = option(256, "decoder width", at_least=1)
    decoder_heads: int = option(4, "decoder attention heads", at_least=1)
    decoder_ffn_dim: int = option(768, "inner width of the decoder's feed-forward parts", at_least=1)
    pointer: bool = option(
        False, "a decoder that keeps its place in the text and moves it letter by letter: reads after "
               "minutes of training, where attention alone (the paper) needs much more"
    )  # fmt: skip


@dataclass(frozen=True)
class MaskedTextToSemanticConfig(TextEncoderConfig):
    """Text encoder, and SoundStorm's network (with one level) for the frames of its letters."""

    layers: int = option(6, "Conformer blocks", at_least=1)
    width: int = option(512, "model width D", at_least=1)
    heads: int = option(8, "attention heads", at_least=1)
    inner: int = option(2048, "width inside the feed-forwards", at_least=1)
    kernel: int = option(5, "kernel of the depthwise convolution, frames", odd=True, at_least=1)
    expansion: int = option(2, "widening inside the convolution module", at_least=1)
    duration_layers: int = option(3, "convolutions of width 5 that predict how long a letter lasts", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        _ = self.network  # has checks of its own

    @property
    def network(self) -> SoundStormConfig:
        """Sizes of the network of frames."""
        names = ("layers", "width", "heads", "inner", "kernel", "expansion", "dropout")
        return SoundStormConfig(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class TextConfig(Config, section="text"):
    """How transcripts become numbers."""

    tokenizer: str = option("bytes", "bytes (ByT5's numbering) or sentencepiece", one_of=("bytes", "sentencepiece"))
    lowercase: bool = option(True, "capitals are not heard")
    sentencepiece_vocab_size: int = option(500, "pieces to learn from the training text")
    sentencepiece_model: str = option("", "an existing model instead, e.g. a published T5's spiece.model")


@dataclass(frozen=True)
class PretrainedConfig(Config, section="pretrained"):
    """What is taken over from a pre-training, and what of it stays as it is."""

    experiment: str = option(
        "", "experiment directory of pretrain_text_to_semantic; empty: start from nothing"
    )
    freeze: bool = option(
        False, "train only what SPEAR-TTS does: text embedding, lower encoder blocks, cross-attention (and "
               "the pointer, where there is one)"
    )  # fmt: skip
    lower_blocks: int = option(
        4, "with freeze: encoder blocks that are trained, the lowest (SPEAR-TTS: 4 to 8 of 24)", at_least=0
    )

    def __post_init__(self):
        super().__post_init__()
        if self.freeze and not self.experiment:
            raise InputError("pretrained.freeze is true, but pretrained.experiment names no pre-training")


@dataclass(frozen=True)
class TextLossConfig(Config, section="loss"):
    """What the model is trained for."""

    label_smoothing: float = option(
        0.0, "share of the target's probability spread over all tokens (SPEAR-TTS: 0.1)", at_least=0, less_than=1
    )
    alignment_weight: float = option(0.0, "weight of the monotonic alignment loss of the pointer", at_least=0)
    move_weight: float = option(1.0, "weight of the pointer's decisions", at_least=0)
    alignment_prior: float = option(
        0.1, "standard deviation of that loss's diagonal prior, as a share of the text; 0 for none", at_least=0
    )


@dataclass(frozen=True)
class MaskedTextLossConfig(Config, section="loss"):
    """What the parallel model is trained by, beside the masked tokens."""

    alignment_prior: float = option(
        0.1, "standard deviation of the alignment's diagonal prior, as a share of the text; 0 for none", at_least=0
    )
