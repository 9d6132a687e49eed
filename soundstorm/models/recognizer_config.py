"""Settings of the recogniser that a recipe can train for its own scoring. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field


def _f(default, text):
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class RecognizerConfig:
    """CTC fine-tuning of a HuBERT."""

    init: str = _f("hubert", "hubert: start from its weights; random: same architecture, new weights")
    freeze: str = _f("conv", "what of the HuBERT stays as it is: none, conv (its convolutions over samples) or all")
    num_layers: int | None = _f(None, "use the first so many Transformer layers only; none for all")
    adapter_layers: int = _f(0, "gated convolutions over frames between the HuBERT and the characters")
    adapter_width: int = _f(256, "their channels")
    head_scale: float = _f(1.0, "how many times faster than the rest the character layer learns")
    dropout: float = _f(0.1, "in the Transformer and before the output")
    mask_share: float = _f(0.1, "frames hidden in training, in spans")
    mask_span: int = _f(5, "frames in a span")

    def __post_init__(self):
        if self.init not in ("hubert", "random"):
            raise ValueError(f"model.init is {self.init!r}, expected hubert or random")
        if self.freeze not in ("none", "conv", "all"):
            raise ValueError(f"model.freeze is {self.freeze!r}, expected none, conv or all")
        if self.adapter_layers < 0 or self.adapter_width < 1:
            raise ValueError(
                f"model.adapter_layers is {self.adapter_layers} (expected at least 0), "
                f"model.adapter_width {self.adapter_width} (expected at least 1)"
            )
        if self.head_scale <= 0:
            raise ValueError(f"model.head_scale is {self.head_scale}, expected more than 0")
        if self.init == "random" and self.freeze != "none":
            raise ValueError(f"model.init is random, but random weights cannot stay: model.freeze is {self.freeze!r}")
        if not 0 <= self.mask_share < 1 or self.mask_span < 1:
            raise ValueError(
                f"model.mask_share is {self.mask_share} (expected in [0, 1)), "
                f"model.mask_span {self.mask_span} (expected at least 1)"
            )


@dataclass(frozen=True)
class AugmentConfig:
    """Changes of original recordings in training. Nothing generated is ever used."""

    speed: float = _f(0.1, "playing speed is drawn from 1 +- this")
    noise_probability: float = _f(0.5, "share of utterances that get noise")
    noise_snr: tuple[float, ...] = _f((10.0, 40.0), "signal-to-noise ratio is drawn from this range, in dB")
    gain: float = _f(6.0, "level is drawn from 0 +- this, in dB")

    def __post_init__(self):
        if not 0 <= self.speed < 0.5:
            raise ValueError(f"augment.speed is {self.speed}, expected a number in [0, 0.5)")
        if not 0 <= self.noise_probability <= 1:
            raise ValueError(f"augment.noise_probability is {self.noise_probability}, expected one in [0, 1]")
        if len(self.noise_snr) != 2 or self.noise_snr[0] > self.noise_snr[1]:
            raise ValueError(f"augment.noise_snr is {self.noise_snr}, expected two numbers, the lower one first")
