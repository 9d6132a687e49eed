"""Settings of the synthesized-speech detector. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class DetectorConfig:
    """A small convolutional classifier of log-mel spectra."""

    crop_seconds: float = option(1.0, "length of what is classified")
    num_mels: int = option(64, "mel bands, 0 to 8 kHz, 100 spectra a second")
    width: int = option(64, "channels of the ConvNeXt blocks")
    expansion: int = option(2, "hidden channels of a block over its channels")
    blocks: int = option(4, "number of blocks")
    kernel: int = option(7, "spectra under a block's depthwise convolution; odd")

    def __post_init__(self):
        for name in ("num_mels", "width", "expansion", "blocks"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"model.kernel is {self.kernel}, expected an odd number")
        if self.crop_seconds <= 0:
            raise InputError(f"model.crop_seconds is {self.crop_seconds}, expected more than 0")


@dataclass(frozen=True)
class SplitConfig:
    """Which utterances the detector is trained on and which it is tested on."""

    train_share: float = option(0.6, "share of the texts, and so of their utterances, to train on")
    seed: int = option(0, "of the choice")

    def __post_init__(self):
        if not 0 < self.train_share < 1:
            raise InputError(f"split.train_share is {self.train_share}, expected a number between 0 and 1")
