"""Settings that all codecs share, and those of their losses.

No torch here: fronts read this before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class CodecConfig:
    """What every codec has. A family adds its sizes, :attr:`samples_per_frame` and :meth:`networks`."""

    family: str = option("", "kind of encoder and decoder")
    sample_rate: int = option(16000, "Hz of the audio that goes in and comes out")
    num_levels: int = option(8, "RVQ levels Q")
    codebook_size: int = option(256, "codes per level N")
    groups: int = option(
        1, "equal parts of the latents, each with num_levels / groups levels of its own (HiFi-Codec: 2 of 4)"
    )
    code_dim: int = option(
        0, "width of the codebook vectors; 0: the width of the latents, without a projection"
    )
    codebook_decay: float = option(0.99, "decay of the codebooks' moving averages (SoundStream: 0.99)")
    dead_code_usage: float = option(
        2.0, "a code whose average use per step falls below this is replaced by a frame"
    )
    quantizer_dropout: float = option(
        1.0, "share of examples that keep a random number of levels only (paper: 1)"
    )

    def __post_init__(self):
        if self.num_levels < 1 or not 2 <= self.codebook_size <= 65536:
            raise InputError(
                f"model.num_levels is {self.num_levels} and model.codebook_size {self.codebook_size}; "
                "expected at least 1 level of 2 to 65536 codes (tokens are stored as uint16)"
            )
        self.at_least(1, "sample_rate", "groups")
        if self.num_levels % self.groups:
            raise InputError(
                f"model.groups is {self.groups}, expected a divisor of model.num_levels, {self.num_levels}"
            )
        self.at_least(0, "code_dim", "dead_code_usage")
        if not 0 <= self.codebook_decay < 1:
            raise InputError(f"model.codebook_decay is {self.codebook_decay}, expected a number in [0, 1)")
        if not 0 <= self.quantizer_dropout <= 1:
            raise InputError(
                f"model.quantizer_dropout is {self.quantizer_dropout}, expected a share from 0 to 1"
            )

    def at_least(self, least: int, *names: str) -> None:
        """
        Raises:
            ValueError: one of these fields is smaller.
        """
        for name in names:
            if getattr(self, name) < least:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least {least}")

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
class CodecLossConfig:
    """What the codec is trained for. Defaults are SoundStream's (section III.D and III.E of its paper)."""

    reconstruction_weight: float = option(1.0, "weight of the multi-scale mel loss")
    commitment_weight: float = option(1.0, "weight of the distance between latents and their codes")
    adversarial_weight: float = option(1.0, "weight of the generator's adversarial loss")
    feature_weight: float = option(100.0, "weight of the distance between discriminator features")
    mel_style: str = option(
        "paper", "paper: 64 bands per scale, L1 + weighted L2 of logs; log: L1 of logs, bands with scale; "
                 "hifi: L1 of logs of 80 bands, scales after the first count 1/45"
    )  # fmt: skip
    mel_windows: tuple[int, ...] = option(
        (64, 128, 256, 512, 1024, 2048), "window lengths of the mel loss, in samples"
    )

    discriminators: str = option(
        "soundstream", "soundstream: waves and one spectrum, hinge losses, means over all; hifi: HiFi-Codec's "
                       "periods, waves and five spectra, least squares, sums over all; needs espnet"
    )  # fmt: skip
    discriminator_start: int = option(
        0, "first step at which discriminators train and are heard by the generator"
    )
    wave_discriminators: int = option(
        3, "wave discriminators, each at half the rate of the one before; 0: none, nor any of periods"
    )
    wave_channels: int = option(
        16, "channels of the first layer of a wave discriminator; hifi: of one of periods, and 4 times as many "
            "of a wave's"
    )  # fmt: skip
    wave_max_channels: int = option(1024, "most channels in a wave discriminator")
    stft_discriminator: bool = option(True, "use the discriminators of complex spectra")
    stft_channels: int = option(32, "channels of its first layer")
    stft_window: int = option(1024, "soundstream: its window, in samples")
    stft_hop: int = option(256, "soundstream: its hop, in samples")

    health_every: int = option(100, "steps over which codebook usage and perplexity are counted")
    health_grace: int = option(500, "steps after which a collapse of a codebook stops the run")
    min_usage: float = option(
        0.3, "share of a level's codes that must be used in health_every steps; below is a collapse"
    )

    def __post_init__(self):
        if self.mel_style not in ("paper", "log", "hifi"):
            raise InputError(f"loss.mel_style is {self.mel_style!r}, expected paper, log or hifi")
        if self.discriminators not in ("soundstream", "hifi"):
            raise InputError(f"loss.discriminators is {self.discriminators!r}, expected soundstream or hifi")
        if self.discriminators == "hifi" and (self.wave_channels % 4 or self.wave_max_channels % 16):
            raise InputError(
                f"loss.wave_channels is {self.wave_channels} and loss.wave_max_channels "
                f"{self.wave_max_channels}, expected multiples of 4 and of 16 for loss.discriminators hifi"
            )
        if not self.mel_windows or min(self.mel_windows) < 4:
            raise InputError(
                f"loss.mel_windows are {self.mel_windows}, expected lengths of at least 4 samples"
            )
        for name in ("reconstruction_weight", "commitment_weight", "adversarial_weight", "feature_weight",
                     "discriminator_start", "wave_discriminators", "health_grace", "min_usage"):  # fmt: skip
            if getattr(self, name) < 0:
                raise InputError(f"loss.{name} is {getattr(self, name)}, expected at least 0")
        for name in (
            "wave_channels",
            "wave_max_channels",
            "stft_channels",
            "stft_window",
            "stft_hop",
            "health_every",
        ):
            if getattr(self, name) < 1:
                raise InputError(f"loss.{name} is {getattr(self, name)}, expected at least 1")

    @property
    def adversarial(self) -> bool:
        """Whether there is any discriminator."""
        return self.wave_discriminators > 0 or self.stft_discriminator
