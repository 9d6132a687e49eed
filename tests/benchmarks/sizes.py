"""What is measured. Free of other modules, since the peer's process reads it too."""

from __future__ import annotations

from dataclasses import asdict, dataclass

OURS, PEER = "soundstorm", "soundstorm-pytorch"


@dataclass(frozen=True)
class Sizes:
    """Of every model. The defaults are the common ground with soundstorm-pytorch: 14M parameters."""

    width: int = 256
    layers: int = 6
    heads: int = 4
    inner: int = 1024
    kernel: int = 5
    levels: int = 8
    codebook: int = 1024
    semantic: int = 500
    iterations: int = 16  # of the first level; one on each finer level
    frame_rate: int = 50
    sample_rate: int = 16000
    codec_width: int = 256  # of the inverse-STFT codec
    hubert_width: int = 192  # that of egs/mini


# SoundStorm's of the paper, on 30 s windows.
PAPER = {"width": 1024, "layers": 12, "heads": 16, "inner": 4096, "levels": 12, "semantic": 1024}


@dataclass(frozen=True)
class Work:
    """One thing to be timed."""

    part: str
    seconds: float  # of audio
    batch: int = 1
    precision: str = "no"  # no (fp32) or bf16
    style: str = "plain"  # the peer's: plain, or default as it ships; ours has the expansion of each
    sizes: Sizes = Sizes()
    side: str = OURS
    threads: int = 1
    device: str = "cpu"  # cpu or cuda
    compiled: str = ""  # of training: blocks compiled as with training.compile; "graphs": with CUDA graphs too

    @property
    def frames(self) -> int:
        """Of the codec."""
        return round(self.seconds * self.sizes.frame_rate)

    @property
    def expansion(self) -> int:
        """Widening inside the convolution module."""
        return 2 if self.style == "default" else 1

    def as_dict(self) -> dict:
        """For JSON; :meth:`from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Work:
        """The reverse of :meth:`as_dict`."""
        return cls(**{**values, "sizes": Sizes(**values["sizes"])})
