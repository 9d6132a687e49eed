"""Settings of the recognisers that a recipe can train. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.options import Config, option

RECOGNIZER = "recognizer:"  # before an experiment directory, where a model to listen through is named


@dataclass(frozen=True)
class RecognizerConfig(Config, section="model"):
    """Character CTC on log-mel spectra."""

    num_mels: int = option(64, "mel bands, 0 to 8 kHz, 100 spectra a second", at_least=1)
    stack: int = option(4, "spectra that make one frame of the network; 4 gives 25 frames a second", at_least=1)
    width: int = option(256, "channels of the ConvNeXt blocks", at_least=1)
    expansion: int = option(3, "hidden channels of a block over its channels", at_least=1)
    blocks: int = option(6, "number of blocks", at_least=1)
    kernel: int = option(15, "frames under a block's depthwise convolution", odd=True, at_least=1)
