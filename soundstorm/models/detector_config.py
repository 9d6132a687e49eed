"""Settings of the synthesized-speech detector. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class DetectorConfig(Config, section="model"):
    """A small convolutional classifier of log-mel spectra."""

    crop_seconds: float = option(1.0, "length of what is classified", more_than=0)
    num_mels: int = option(64, "mel bands, 0 to 8 kHz, 100 spectra a second", at_least=1)
    width: int = option(64, "channels of the ConvNeXt blocks", at_least=1)
    expansion: int = option(2, "hidden channels of a block over its channels", at_least=1)
    blocks: int = option(4, "number of blocks", at_least=1)
    kernel: int = option(7, "spectra under a block's depthwise convolution", odd=True, at_least=1)


@dataclass(frozen=True)
class SplitConfig(Config, section="split"):
    """Which utterances the detector is trained on and which it is tested on."""

    train_share: float = option(
        0.6, "share of the texts, and so of their utterances, to train on", more_than=0, less_than=1
    )
    seed: int = option(0, "of the choice")
