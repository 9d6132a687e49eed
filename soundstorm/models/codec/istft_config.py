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
    hop: int = option(320, "samples per frame")
    n_fft: int = option(1280, "window of both transforms, a multiple of hop")
    width: int = option(256, "channels of the ConvNeXt blocks")
    expansion: int = option(4, "hidden channels of a block are expansion x width")
    encoder_blocks: int = option(4, "ConvNeXt blocks before the quantizer")
    decoder_blocks: int = option(6, "ConvNeXt blocks after the quantizer")
    kernel_size: int = option(7, "kernel of the depthwise convolutions, in frames")

    def __post_init__(self):
        super().__post_init__()
        self.at_least(1, "hop", "width", "expansion", "encoder_blocks", "decoder_blocks", "kernel_size")
        if self.n_fft % 2 or self.hop % 2 or self.n_fft < 2 * self.hop:
            raise InputError(
                f"model.n_fft is {self.n_fft} and model.hop {self.hop}, expected even numbers and a window "
                "of two hops at least"
            )
        if self.kernel_size % 2 == 0:
            raise InputError(f"model.kernel_size is {self.kernel_size}, expected an odd number of frames")

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
