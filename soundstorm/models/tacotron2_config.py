"""Settings of Tacotron 2 and its WaveNet. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option

FEATURES, WAVENET = "features", "wavenet"
STAGES = (FEATURES, WAVENET)  # networks of the system, in the order of their training
SPEAKERS_FILE = "speakers.safetensors"  # of the feature network's experiment: name -> embedding (D,)


@dataclass(frozen=True)
class Tacotron2Config(Config, section="model"):
    """The feature network; the defaults are the paper's sizes (section 2.2)."""

    embedding: int = option(512, "width of a character", at_least=1)
    encoder_convolutions: int = option(3, "convolutions over the characters", at_least=0)
    encoder_width: int = option(
        512, "their channels, and the width of both directions of the LSTM together", at_least=1
    )
    encoder_kernel: int = option(5, "characters that a convolution sees", odd=True, at_least=1)
    attention: int = option(128, "width of the attention", at_least=1)
    location_filters: int = option(32, "filters over the attention so far", at_least=1)
    location_kernel: int = option(31, "characters that such a filter sees", odd=True, at_least=1)
    decoder_width: int = option(1024, "of each of the two LSTM layers", at_least=1)
    prenet: int = option(256, "width of both layers between a frame and the decoder", at_least=1)
    postnet_layers: int = option(5, "convolutions that mend the whole spectrum", at_least=1)
    postnet_width: int = option(512, "their channels", at_least=1)
    postnet_kernel: int = option(5, "frames that one of them sees", odd=True, at_least=1)
    reduction: int = option(1, "frames to a step of the decoder; 1 in the paper, more align sooner", at_least=1)
    dropout: float = option(0.5, "of convolutions", at_least=0, less_than=1)
    prenet_dropout: float = option(0.5, "of the pre-net, in inference too", at_least=0, less_than=1)
    zoneout: float = option(0.1, "of the decoder's LSTM", at_least=0, less_than=1)


@dataclass(frozen=True)
class FeatureSizes(Config, section="sizes"):
    """What the corpus says of the feature network's size; recorded in its experiment."""

    text_size: int = option(384, "ids of texts", at_least=2)
    speaker_size: int = option(0, "width of speaker embeddings; 0: one voice", at_least=0)


@dataclass(frozen=True)
class Tacotron2LossConfig(Config, section="loss"):
    """What the feature network is trained for."""

    stop_weight: float = option(1.0, "how many times the last step counts for the stop token", at_least=0)
    guided_attention: float = option(
        0.0, "weight of attention that is off the diagonal (arXiv:1710.08969); 0 (the paper): none", at_least=0
    )
    guided_width: float = option(0.4, "how far off is free: standard deviation, of the whole text", more_than=0)


@dataclass(frozen=True)
class SpokenTextsConfig(Config, section="data"):
    """What the feature network sees of a corpus."""

    min_seconds: float = option(0.5, "shortest utterance", more_than=0)
    max_seconds: float = option(20.0, "longest utterance")
    lowercase: bool = option(True, "lower all letters")
    speaker_model: str = option(
        "resemblyzer",
        "embeds the voices of a corpus that has several; resemblyzer, or a transformers x-vector model",
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.min_seconds < self.max_seconds:
            raise InputError(
                f"data.min_seconds is {self.min_seconds} and data.max_seconds {self.max_seconds}, expected "
                "0 < min_seconds < max_seconds"
            )


@dataclass(frozen=True)
class WaveNetConfig(Config, section="wavenet"):
    """The vocoder: WaveNet with a mixture of logistics (section 2.3); widths are wavenet_vocoder's."""

    layers: int = option(30, "dilated convolutions", at_least=1)
    cycles: int = option(3, "how often their dilations start again at 1", at_least=1)
    kernel: int = option(3, "samples that one of them sees", at_least=2)
    residual: int = option(512, "channels between layers", at_least=1)
    gate: int = option(512, "channels inside a layer, half of which are gates", even=True, at_least=2)
    skip: int = option(256, "channels from the layers to the output", at_least=1)
    mixtures: int = option(10, "logistics of a sample", at_least=1)
    upsampling: tuple[int, ...] = option(
        (15, 20), "factors from frames to samples; their product is mel.hop", at_least=1
    )
    dropout: float = option(0.0, "before every layer", at_least=0, less_than=1)
    crop_frames: int = option(32, "frames of a training example", at_least=1)
    features: str = option(
        "predicted", "predicted: by the feature network, told the true frames before (the paper); true: recordings'",
        one_of=("predicted", "true"),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.layers % self.cycles:
            raise InputError(
                f"wavenet.layers is {self.layers}, expected a multiple of wavenet.cycles, {self.cycles}"
            )

    @property
    def dilations(self) -> list[int]:
        """Of each layer."""
        length = self.layers // self.cycles
        return [2 ** (layer % length) for layer in range(self.layers)]

    @property
    def receptive_field(self) -> int:
        """Samples, the last one included, that a prediction depends on."""
        return 1 + (self.kernel - 1) * sum(self.dilations)
