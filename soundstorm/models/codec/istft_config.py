"""Settings of the codec that works in the frame-rate domain."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option
from soundstorm.models.codec.codec_config import CodecConfig


@dataclass(frozen=True)
class IstftConfig(CodecConfig):
    """In the frame-rate domain, fast on a CPU."""

    family: str = "istft"
    hop: int = option(320, "samples per frame", even=True, at_least=2)
    n_fft: int = option(1280, "window of both transforms, a multiple of hop", even=True)
    width: int = option(256, "channels of the ConvNeXt blocks", at_least=1)
    expansion: int = option(4, "hidden channels of a block are expansion x width", at_least=1)
    encoder_blocks: int = option(4, "ConvNeXt blocks before the quantizer", at_least=1)
    decoder_blocks: int = option(6, "ConvNeXt blocks after the quantizer", at_least=1)
    kernel_size: int = option(7, "kernel of the depthwise convolutions, in frames", odd=True, at_least=1)

    def __post_init__(self):
        super().__post_init__()
        if self.n_fft < 2 * self.hop:
            raise InputError(f"model.n_fft is {self.n_fft} and model.hop {self.hop}, expected two hops at least")

    @property
    def samples_per_frame(self) -> int:
        """Hop of both transforms."""
        return self.hop

    def networks(self) -> tuple:
        """Encoder, decoder, width of the latents."""
        from soundstorm.models.codec.istft_codec import SpectrumDecoder, SpectrumEncoder

        sizes = {"n_fft": self.n_fft, "hop": self.hop, "width": self.width}
        sizes |= {"expansion": self.expansion, "kernel_size": self.kernel_size}
        encoder = SpectrumEncoder(num_blocks=self.encoder_blocks, **sizes)
        decoder = SpectrumDecoder(num_blocks=self.decoder_blocks, **sizes)
        return encoder, decoder, self.width
