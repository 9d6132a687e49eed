"""Settings of HiFi-Codec's encoder and decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option
from soundstorm.models.codec.codec_config import CodecConfig


@dataclass(frozen=True)
class HifiConfig(CodecConfig):
    """HiFi-GAN's generator and its mirror image, as HiFi-Codec."""

    family: str = "hifi"
    encoder_channels: int = option(32, "channels at full rate before the quantizer, doubled at each stride", at_least=1)
    decoder_channels: int = option(512, "channels after the quantizer, halved at each stride", at_least=1)
    strides: tuple[int, ...] = option((2, 4, 5, 8), "downsampling of the encoder's blocks", at_least=1)
    kernels: tuple[int, ...] = option((3, 7, 11), "kernels of the residual blocks at each rate", odd=True, at_least=1)

    def __post_init__(self):
        super().__post_init__()
        if self.decoder_channels % 2 ** len(self.strides):
            raise InputError(
                f"model.decoder_channels is {self.decoder_channels}, expected a multiple of "
                f"{2 ** len(self.strides)}: it is halved at each of {len(self.strides)} strides"
            )

    @property
    def samples_per_frame(self) -> int:
        """All downsamplings together."""
        return math.prod(self.strides)

    def networks(self) -> tuple:
        """Encoder, decoder, width of the latents."""
        from soundstorm.models.codec.hifi import HifiDecoder, HifiEncoder

        shape = {"strides": tuple(self.strides), "kernels": tuple(self.kernels)}
        latent_dim = self.encoder_channels * 2 ** len(self.strides)
        encoder = HifiEncoder(channels=self.encoder_channels, **shape)
        return encoder, HifiDecoder(latent_dim, channels=self.decoder_channels, **shape), latent_dim
