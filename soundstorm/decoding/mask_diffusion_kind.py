"""Mask diffusion as an acoustic generator, and its sampling. Free of torch, so that commands start fast."""

from dataclasses import dataclass
from pathlib import Path

from soundstorm.data.options import Config, option
from soundstorm.decoding.acoustic_generator import GeneratorKind

PURITY, POSTERIOR = "purity", "posterior"


@dataclass(frozen=True)
class MaskDiffusionSamplingConfig(Config, section="mask_diffusion"):
    """The defaults are those of the public implementation."""

    sampler: str = option(
        PURITY, "purity: in each pass some masked codes, sooner those the network is sure of, become what it "
                "predicts, and stay; posterior: every code follows the chain back, over several steps a pass",
        one_of=(PURITY, POSTERIOR),
    )  # fmt: skip
    passes: int = option(100, "forward passes; fewer than the chain has steps jump over some", at_least=1)
    top_p: float = option(
        0.85, "codes sampled from: the likeliest, up to the one that exceeds this mass", more_than=0, at_most=1
    )
    sharpness: float = option(
        2.0, "by purity, how much the network's probabilities are sharpened where it is sure; 0 leaves them", at_least=0
    )
    temperature: float = option(1.0, "divides the logits first", more_than=0)
    precision: str = option("no", "no (fp32), bf16 or fp16 autocast of the network", one_of=("no", "bf16", "fp16"))


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
