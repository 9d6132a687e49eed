"""Settings of Tacotron 2 and its WaveNet. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option

FEATURES, WAVENET = "features", "wavenet"
STAGES = (FEATURES, WAVENET)  # networks of the system, in the order of their training
SPEAKERS_FILE = "speakers.safetensors"  # of the feature network's experiment: name -> embedding (D,)


def _at_least(config: object, section: str, least: float, *names: str) -> None:
    for name in names:
        if getattr(config, name) < least:
            raise InputError(f"{section}.{name} is {getattr(config, name)}, expected at least {least}")


@dataclass(frozen=True)
class Tacotron2Config:
    """The feature network; the defaults are the paper's sizes (section 2.2)."""

    embedding: int = option(512, "width of a character")
    encoder_convolutions: int = option(3, "convolutions over the characters")
    encoder_width: int = option(512, "their channels, and the width of both directions of the LSTM together")
    encoder_kernel: int = option(5, "characters that a convolution sees")
    attention: int = option(128, "width of the attention")
    location_filters: int = option(32, "filters over the attention so far")
    location_kernel: int = option(31, "characters that such a filter sees; odd")
    decoder_width: int = option(1024, "of each of the two LSTM layers")
    prenet: int = option(256, "width of both layers between a frame and the decoder")
    postnet_layers: int = option(5, "convolutions that mend the whole spectrum")
    postnet_width: int = option(512, "their channels")
    postnet_kernel: int = option(5, "frames that one of them sees")
    reduction: int = option(1, "frames to a step of the decoder; 1 in the paper, more align sooner")
    dropout: float = option(0.5, "of convolutions")
    prenet_dropout: float = option(0.5, "of the pre-net, in inference too")
    zoneout: float = option(0.1, "of the decoder's LSTM")

    def __post_init__(self):
        rates = ("dropout", "prenet_dropout", "zoneout")
        sizes = [name for name in vars(self) if name not in (*rates, "encoder_convolutions")]
        _at_least(self, "model", 1, *sizes)
        for name in ("encoder_kernel", "location_kernel", "postnet_kernel"):
            if getattr(self, name) % 2 == 0:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected an odd number")
        for name in rates:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected a number in [0, 1)")


@dataclass(frozen=True)
class FeatureSizes:
    """What the corpus says of the feature network's size; recorded in its experiment."""

    text_size: int = 384  # ids of texts
    speaker_size: int = 0  # width of speaker embeddings; 0: one voice

    def __post_init__(self):
        _at_least(self, "sizes", 0, "speaker_size")
        _at_least(self, "sizes", 2, "text_size")


@dataclass(frozen=True)
class Tacotron2LossConfig:
    """What the feature network is trained for."""

    stop_weight: float = option(1.0, "how many times the last step counts for the stop token")
    guided_attention: float = option(
        0.0, "weight of attention that is off the diagonal (arXiv:1710.08969); 0 (the paper): none"
    )
    guided_width: float = option(0.4, "how far off is free: standard deviation, of the whole text")

    def __post_init__(self):
        _at_least(self, "loss", 0, "stop_weight", "guided_attention")
        if self.guided_width <= 0:
            raise InputError(f"loss.guided_width is {self.guided_width}, expected more than 0")


@dataclass(frozen=True)
class SpokenTextsConfig:
    """What the feature network sees of a corpus."""

    min_seconds: float = option(0.5, "shortest utterance")
    max_seconds: float = option(20.0, "longest utterance")
    lowercase: bool = option(True, "lower all letters")
    speaker_model: str = option(
        "resemblyzer",
        "embeds the voices of a corpus that has several; resemblyzer, or a transformers x-vector model",
    )

    def __post_init__(self):
        if not 0 < self.min_seconds < self.max_seconds:
            raise InputError(
                f"data.min_seconds is {self.min_seconds} and data.max_seconds {self.max_seconds}, expected "
                "0 < min_seconds < max_seconds"
            )


@dataclass(frozen=True)
class WaveNetConfig:
    """The vocoder: WaveNet with a mixture of logistics (section 2.3); widths are wavenet_vocoder's."""

    layers: int = option(30, "dilated convolutions")
    cycles: int = option(3, "how often their dilations start again at 1")
    kernel: int = option(3, "samples that one of them sees")
    residual: int = option(512, "channels between layers")
    gate: int = option(512, "channels inside a layer, half of which are gates")
    skip: int = option(256, "channels from the layers to the output")
    mixtures: int = option(10, "logistics of a sample")
    upsampling: tuple[int, ...] = option((15, 20), "factors from frames to samples; their product is mel.hop")
    dropout: float = option(0.0, "before every layer")
    crop_frames: int = option(32, "frames of a training example")
    features: str = option(
        "predicted",
        "predicted: by the feature network, told the true frames before (the paper); true: recordings'",
    )

    def __post_init__(self):
        names = ("layers", "cycles", "kernel", "residual", "gate", "skip", "mixtures", "crop_frames")
        _at_least(self, "wavenet", 1, *names)
        if self.layers % self.cycles:
            raise InputError(
                f"wavenet.layers is {self.layers}, expected a multiple of wavenet.cycles, {self.cycles}"
            )
        if self.gate % 2 or self.kernel < 2:
            raise InputError(
                f"wavenet.gate is {self.gate} and wavenet.kernel {self.kernel}, expected an even number and "
                "at least 2"
            )
        if not self.upsampling or min(self.upsampling) < 1:
            raise InputError(f"wavenet.upsampling is {self.upsampling}, expected factors of 1 or more")
        if not 0 <= self.dropout < 1:
            raise InputError(f"wavenet.dropout is {self.dropout}, expected a number in [0, 1)")
        if self.features not in ("predicted", "true"):
            raise InputError(f"wavenet.features is {self.features!r}, expected predicted or true")

    @property
    def dilations(self) -> list[int]:
        """Of each layer."""
        length = self.layers // self.cycles
        return [2 ** (layer % length) for layer in range(self.layers)]

    @property
    def receptive_field(self) -> int:
        """Samples, the last one included, that a prediction depends on."""
        return 1 + (self.kernel - 1) * sum(self.dilations)
