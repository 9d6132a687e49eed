"""Settings of SoundStream's encoder and decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soundstorm.data.options import option
from soundstorm.models.codec.codec_config import CodecConfig


@dataclass(frozen=True)
class SoundStreamConfig(CodecConfig):
    """As the paper has it."""

    family: str = "soundstream"
    channels: int = option(32, "channels at full rate, C (doubled at each downsampling)", at_least=1)
    latent_dim: int = option(256, "width of the latents, D", at_least=1)
    strides: tuple[int, ...] = option((2, 4, 5, 8), "downsampling of the encoder's blocks", at_least=1)

    @property
    def samples_per_frame(self) -> int:
        """All downsamplings together."""
        return math.prod(self.strides)

    def networks(self) -> tuple:
        """Encoder, decoder, width of the latents."""
        from soundstorm.models.codec.soundstream import SEANetDecoder, SEANetEncoder

        sizes = {"channels": self.channels, "latent_dim": self.latent_dim, "strides": tuple(self.strides)}
        return SEANetEncoder(**sizes), SEANetDecoder(**sizes), self.latent_dim
