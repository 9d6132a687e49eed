"""Mask diffusion as an acoustic generator, and its sampling. Free of torch, so that commands start fast."""

from dataclasses import dataclass
from pathlib import Path

from soundstorm.data.errors import InputError
from soundstorm.data.options import option
from soundstorm.decoding.acoustic_generator import GeneratorKind

PURITY, POSTERIOR = "purity", "posterior"


@dataclass(frozen=True)
class MaskDiffusionSamplingConfig:
    """The defaults are those of the public implementation."""

    sampler: str = option(
        PURITY, "purity: in each pass some masked codes, sooner those the network is sure of, become what it "
                "predicts, and stay; posterior: every code follows the chain back, over several steps a pass"
    )  # fmt: skip
    passes: int = option(100, "forward passes; fewer than the chain has steps jump over some")
    top_p: float = option(0.85, "codes sampled from: the likeliest, up to the one that exceeds this mass")
    sharpness: float = option(
        2.0, "by purity, how much the network's probabilities are sharpened where it is sure; 0 leaves them"
    )
    temperature: float = option(1.0, "divides the logits first")
    precision: str = option("no", "no (fp32), bf16 or fp16 autocast of the network")

    def __post_init__(self):
        if self.sampler not in (PURITY, POSTERIOR):
            raise InputError(f"mask_diffusion.sampler is {self.sampler!r}, expected {PURITY} or {POSTERIOR}")
        if self.passes < 1:
            raise InputError(f"mask_diffusion.passes is {self.passes}, expected at least 1")
        if not 0 < self.top_p <= 1:
            raise InputError(f"mask_diffusion.top_p is {self.top_p}, expected more than 0, at most 1")
        if self.sharpness < 0:
            raise InputError(f"mask_diffusion.sharpness is {self.sharpness}, expected 0 or more")
        if self.temperature <= 0:
            raise InputError(f"mask_diffusion.temperature is {self.temperature}, expected more than 0")
        if self.precision not in ("no", "bf16", "fp16"):
            raise InputError(f"mask_diffusion.precision is {self.precision!r}, expected no, bf16 or fp16")


def _load(place: str | Path, codec, device: str):
    from soundstorm.decoding.mask_diffusion_generator import MaskDiffusionGenerator

    return MaskDiffusionGenerator.load(place, codec, device)


def _load_network(place: str, stage: str | None):
    from soundstorm.decoding.mask_diffusion_generator import load_mask_diffusion

    return load_mask_diffusion(place)


def _title(config: MaskDiffusionSamplingConfig) -> str:
    how = "" if config.sampler == PURITY else f" by its {POSTERIOR}"
    return f"{KIND.title}{how}, {config.passes} passes"


KIND = GeneratorKind(
    "Mask diffusion", "mask_diffusion", MaskDiffusionSamplingConfig, _load, _load_network, title_of=_title
)
