"""Settings that all codecs share, and those of their losses.

No torch here: fronts read this before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class CodecConfig(Config, section="model"):
    """What every codec has. A family adds its sizes, :attr:`samples_per_frame` and :meth:`networks`."""

    family: str = option("", "kind of encoder and decoder")
    sample_rate: int = option(16000, "Hz of the audio that goes in and comes out", at_least=1)
    num_levels: int = option(8, "RVQ levels Q", at_least=1)
    codebook_size: int = option(256, "codes per level N, which are stored as uint16", within=(2, 65536))
    groups: int = option(
        1, "equal parts of the latents, each with num_levels / groups levels of its own (HiFi-Codec: 2 of 4)",
        at_least=1,
    )
    code_dim: int = option(
        0, "width of the codebook vectors; 0: the width of the latents, without a projection", at_least=0
    )
    codebook_decay: float = option(
        0.99, "decay of the codebooks' moving averages (SoundStream: 0.99)", at_least=0, less_than=1
    )
    dead_code_usage: float = option(
        2.0, "a code whose average use per step falls below this is replaced by a frame", at_least=0
    )
    quantizer_dropout: float = option(
        1.0, "share of examples that keep a random number of levels only (paper: 1)", within=(0, 1)
    )

    def __post_init__(self):
        super().__post_init__()
        if self.num_levels % self.groups:
            raise InputError(
                f"model.groups is {self.groups}, expected a divisor of model.num_levels, {self.num_levels}"
            )

    @property
    def samples_per_frame(self) -> int:
        """Hop."""
        raise NotImplementedError

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.samples_per_frame

    def networks(self) -> tuple:
        """Encoder and decoder, as :class:`soundstorm.models.codec.codec.Codec` takes them, and the width D
        of the latents between them.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class CodecLossConfig(Config, section="loss"):
    """What the codec is trained for. Defaults are SoundStream's (section III.D and III.E of its paper)."""

    reconstruction_weight: float = option(1.0, "weight of the multi-scale mel loss", at_least=0)
    commitment_weight: float = option(1.0, "weight of the distance between latents and their codes", at_least=0)
    adversarial_weight: float = option(1.0, "weight of the generator's adversarial loss", at_least=0)
    feature_weight: float = option(100.0, "weight of the distance between discriminator features", at_least=0)
    mel_style: str = option(
        "paper", "paper: 64 bands per scale, L1 + weighted L2 of logs; log: L1 of logs, bands with scale; "
                 "hifi: L1 of logs of 80 bands, scales after the first count 1/45", one_of=("paper", "log", "hifi")
    )  # fmt: skip
    mel_windows: tuple[int, ...] = option(
        (64, 128, 256, 512, 1024, 2048), "window lengths of the mel loss, in samples", at_least=4
    )

    discriminators: str = option(
        "soundstream", "soundstream: waves and one spectrum, hinge losses, means over all; hifi: HiFi-Codec's "
                       "periods, waves and five spectra, least squares, sums over all; needs espnet",
        one_of=("soundstream", "hifi"),
    )  # fmt: skip
    discriminator_start: int = option(
        0, "first step at which discriminators train and are heard by the generator", at_least=0
    )
    wave_discriminators: int = option(
        3, "wave discriminators, each at half the rate of the one before; 0: none, nor any of periods", at_least=0
    )
    wave_channels: int = option(
        16, "channels of the first layer of a wave discriminator; hifi: of one of periods, and 4 times as many "
            "of a wave's", at_least=1
    )  # fmt: skip
    wave_max_channels: int = option(1024, "most channels in a wave discriminator", at_least=1)
    stft_discriminator: bool = option(True, "use the discriminators of complex spectra")
    stft_channels: int = option(32, "channels of its first layer", at_least=1)
    stft_window: int = option(1024, "soundstream: its window, in samples", at_least=1)
    stft_hop: int = option(256, "soundstream: its hop, in samples", at_least=1)

    health_every: int = option(100, "steps over which codebook usage and perplexity are counted", at_least=1)
    health_grace: int = option(500, "steps after which a collapse of a codebook stops the run", at_least=0)
    min_usage: float = option(
        0.3, "share of a level's codes that must be used in health_every steps; below is a collapse", at_least=0
    )

    def __post_init__(self):
        super().__post_init__()
        if self.discriminators == "hifi" and (self.wave_channels % 4 or self.wave_max_channels % 16):
            raise InputError(
                f"loss.wave_channels is {self.wave_channels} and loss.wave_max_channels "
                f"{self.wave_max_channels}, expected multiples of 4 and of 16 for loss.discriminators hifi"
            )

    @property
    def adversarial(self) -> bool:
        """Whether there is any discriminator."""
        return self.wave_discriminators > 0 or self.stft_discriminator
