"""Settings of the codec and of its losses (no torch here:

fronts read this before anything heavy is imported).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from soundstorm.data.options import option

FAMILIES = ("istft", "soundstream")


@dataclass(frozen=True)
class CodecConfig:
    """Architecture of a codec. The sizes of the family that is not chosen are ignored."""

    family: str = option(
        "istft", "istft (frame-rate domain, fast on a CPU) or soundstream (as the paper has it)"
    )
    sample_rate: int = option(16000, "Hz of the audio that goes in and comes out")
    num_levels: int = option(8, "RVQ levels Q")
    codebook_size: int = option(256, "codes per level N")
    code_dim: int = option(
        0, "width of the codebook vectors; 0: the width of the latents, without a projection"
    )
    codebook_decay: float = option(0.99, "decay of the codebooks' moving averages (SoundStream: 0.99)")
    dead_code_usage: float = option(
        2.0, "a code whose average use per step falls below this is replaced by a frame"
    )
    kmeans_iterations: int = option(10, "k-means iterations on the first batch")
    quantizer_dropout: float = option(
        1.0, "share of examples that keep a random number of levels only (paper: 1)"
    )

    hop: int = option(320, "istft: samples per frame")
    n_fft: int = option(1280, "istft: window of both transforms, a multiple of hop")
    width: int = option(256, "istft: channels of the ConvNeXt blocks")
    expansion: int = option(4, "istft: hidden channels of a block are expansion x width")
    encoder_blocks: int = option(4, "istft: ConvNeXt blocks before the quantizer")
    decoder_blocks: int = option(6, "istft: ConvNeXt blocks after the quantizer")
    kernel_size: int = option(7, "istft: kernel of the depthwise convolutions, in frames")

    channels: int = option(32, "soundstream: channels at full rate, C (doubled at each downsampling)")
    latent_dim: int = option(256, "soundstream: width of the latents, D")
    strides: tuple[int, ...] = option((2, 4, 5, 8), "soundstream: downsampling of the encoder's blocks")

    def __post_init__(self):
        if self.family not in FAMILIES:
            raise ValueError(f"model.family is {self.family!r}, expected one of {', '.join(FAMILIES)}")
        if self.num_levels < 1 or not 2 <= self.codebook_size <= 65536:
            raise ValueError(
                f"model.num_levels is {self.num_levels} and model.codebook_size {self.codebook_size}; "
                "expected at least 1 level of 2 to 65536 codes (tokens are stored as uint16)"
            )
        counts = ("sample_rate", "hop", "width", "expansion", "encoder_blocks", "decoder_blocks", "kernel_size")
        for name in (*counts, "channels", "latent_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        for name in ("code_dim", "dead_code_usage", "kmeans_iterations"):
            if getattr(self, name) < 0:
                raise ValueError(f"model.{name} is {getattr(self, name)}, expected at least 0")
        if not 0 <= self.codebook_decay < 1:
            raise ValueError(f"model.codebook_decay is {self.codebook_decay}, expected a number in [0, 1)")
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"model.strides are {self.strides}, expected numbers of at least 1")
        if not 0 <= self.quantizer_dropout <= 1:
            raise ValueError(
                f"model.quantizer_dropout is {self.quantizer_dropout}, expected a share from 0 to 1"
            )
        if self.n_fft % 2 or self.hop % 2 or self.n_fft < 2 * self.hop:
            raise ValueError(
                f"model.n_fft is {self.n_fft} and model.hop {self.hop}, expected even numbers and a window of "
                "two hops at least"
            )
        if self.kernel_size % 2 == 0:
            raise ValueError(f"model.kernel_size is {self.kernel_size}, expected an odd number of frames")

    @property
    def samples_per_frame(self) -> int:
        """Hop of the chosen family."""
        return self.hop if self.family == "istft" else math.prod(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.samples_per_frame


@dataclass(frozen=True)
class CodecLossConfig:
    """What the codec is trained for. Defaults are SoundStream's (section III.D and III.E of its paper)."""

    reconstruction_weight: float = option(1.0, "weight of the multi-scale mel loss")
    commitment_weight: float = option(1.0, "weight of the distance between latents and their codes")
    adversarial_weight: float = option(1.0, "weight of the hinge loss of the generator")
    feature_weight: float = option(100.0, "weight of the distance between discriminator features")
    mel_style: str = option(
        "paper", "paper: 64 bands per scale, L1 + weighted L2 of logs; log: L1 of logs, bands with scale"
    )
    mel_windows: tuple[int, ...] = option(
        (64, 128, 256, 512, 1024, 2048), "window lengths of the mel loss, in samples"
    )

    discriminator_start: int = option(
        0, "first step at which discriminators train and are heard by the generator"
    )
    wave_discriminators: int = option(
        3, "wave discriminators, each at half the rate of the one before; 0: none"
    )
    wave_channels: int = option(16, "channels of the first layer of a wave discriminator")
    wave_max_channels: int = option(1024, "most channels in a wave discriminator")
    stft_discriminator: bool = option(True, "use the discriminator of complex spectra")
    stft_channels: int = option(32, "channels of its first layer")
    stft_window: int = option(1024, "its window, in samples")
    stft_hop: int = option(256, "its hop, in samples")

    health_every: int = option(100, "steps over which codebook usage and perplexity are counted")
    health_grace: int = option(500, "steps after which a collapse of a codebook stops the run")
    min_usage: float = option(
        0.3, "share of a level's codes that must be used in health_every steps; below is a collapse"
    )

    def __post_init__(self):
        if self.mel_style not in ("paper", "log"):
            raise ValueError(f"loss.mel_style is {self.mel_style!r}, expected paper or log")
        if not self.mel_windows or min(self.mel_windows) < 4:
            raise ValueError(f"loss.mel_windows are {self.mel_windows}, expected lengths of at least 4 samples")
        for name in ("reconstruction_weight", "commitment_weight", "adversarial_weight", "feature_weight",
                     "discriminator_start", "wave_discriminators", "health_grace", "min_usage"):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}, expected at least 0")
        for name in ("wave_channels", "wave_max_channels", "stft_channels", "stft_window", "stft_hop", "health_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"loss.{name} is {getattr(self, name)}, expected at least 1")

    @property
    def adversarial(self) -> bool:
        """Whether there is any discriminator."""
        return self.wave_discriminators > 0 or self.stft_discriminator
