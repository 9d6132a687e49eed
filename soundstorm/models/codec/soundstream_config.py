"""Settings of SoundStream's encoder and decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option
from soundstorm.models.codec.codec_config import CodecConfig


@dataclass(frozen=True)
class SoundStreamConfig(CodecConfig):
    """As the paper has it."""

    family: str = "soundstream"
    channels: int = option(32, "channels at full rate, C (doubled at each downsampling)")
    latent_dim: int = option(256, "width of the latents, D")
    strides: tuple[int, ...] = option((2, 4, 5, 8), "downsampling of the encoder's blocks")

    def __post_init__(self):
        super().__post_init__()
        self.at_least(1, "channels", "latent_dim")
        if not self.strides or min(self.strides) < 1:
            raise InputError(f"model.strides are {self.strides}, expected numbers of at least 1")

    @property
    def samples_per_frame(self) -> int:
        """All downsamplings together."""
        return math.prod(self.strides)

    def networks(self) -> tuple:
        """Encoder, decoder, width of the latents."""
        from soundstorm.models.codec.soundstream import SEANetDecoder, SEANetEncoder

        sizes = {"channels": self.channels, "latent_dim": self.latent_dim, "strides": tuple(self.strides)}
        return SEANetEncoder(**sizes), SEANetDecoder(**sizes), self.latent_dim
