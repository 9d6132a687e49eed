"""Settings of the recogniser that a recipe can train for its own scoring. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.options import option


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
                raise ValueError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"model.kernel is {self.kernel}, expected an odd number")


@dataclass(frozen=True)
class AugmentConfig:
    """Changes of the spectra of original recordings in training. Nothing generated is ever used."""

    tempo: float = option(0.12, "duration is multiplied by a number from 1 +- this")
    warp: float = option(0.1, "the mel axis is stretched by a number from 1 +- this: another vocal tract")
    blur: int = option(
        1, "log spectra are averaged over up to this many neighbours on each side, in time and in frequency"
    )
    jitter: float = option(0.2, "standard deviation of noise on log spectra, from 0 to this")
    floor_probability: float = option(
        0.5, "share of utterances to which a background noise of random level is added"
    )
    time_masks: int = option(3, "spans of up to 200 ms that are hidden")
    mel_masks: int = option(2, "groups of up to a fifth of the bands that are hidden")

    def __post_init__(self):
        for name, below in (("tempo", 0.5), ("warp", 0.5), ("jitter", 10.0), ("floor_probability", 1.0001)):
            if not 0 <= getattr(self, name) < below:
                raise ValueError(f"augment.{name} is {getattr(self, name)}, expected 0 or more and less than {below:g}")
        for name in ("blur", "time_masks", "mel_masks"):
            if getattr(self, name) < 0:
                raise ValueError(f"augment.{name} is {getattr(self, name)}, expected at least 0")
