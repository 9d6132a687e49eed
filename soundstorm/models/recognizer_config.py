"""Settings of the recognisers that a recipe can train. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option

RECOGNIZER = "recognizer:"  # before an experiment directory, where a model to listen through is named


@dataclass(frozen=True)
class RecognizerConfig:
    """Character CTC on log-mel spectra."""

    num_mels: int = option(64, "mel bands, 0 to 8 kHz, 100 spectra a second")
    stack: int = option(4, "spectra that make one frame of the network; 4 gives 25 frames a second")
    width: int = option(256, "channels of the ConvNeXt blocks")
    expansion: int = option(3, "hidden channels of a block over its channels")
    blocks: int = option(6, "number of blocks")
    kernel: int = option(15, "frames under a block's depthwise convolution; odd")

    def __post_init__(self):
        for name in ("num_mels", "stack", "width", "expansion", "blocks"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"model.kernel is {self.kernel}, expected an odd number")
