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
    encoder_channels: int = option(32, "channels at full rate before the quantizer, doubled at each stride")
    decoder_channels: int = option(512, "channels after the quantizer, halved at each stride")
    strides: tuple[int, ...] = option((2, 4, 5, 8), "downsampling of the encoder's blocks")
    kernels: tuple[int, ...] = option((3, 7, 11), "kernels of the residual blocks at each rate")

    def __post_init__(self):
        super().__post_init__()
        self.at_least(1, "encoder_channels")
        if not self.strides or min(self.strides) < 1:
            raise InputError(f"model.strides are {self.strides}, expected numbers of at least 1")
        if not self.kernels or any(kernel % 2 == 0 or kernel < 1 for kernel in self.kernels):
            raise InputError(f"model.kernels are {self.kernels}, expected odd numbers of at least 1")
        if self.decoder_channels % 2 ** len(self.strides) or self.decoder_channels < 1:
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
