"""Mask diffusion at work."""

from pathlib import Path

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.pack import part_of
from soundstorm.decoding.mask_diffusion_sampler import decode
from soundstorm.decoding.soundstorm_generator import SoundStormGenerator
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.models.mask_diffusion_config import DiffusionConfig, MaskDiffusionConfig


def load_mask_diffusion(expdir: str | Path) -> tuple[MaskDiffusion, TokenizerInfo, TokenizerInfo]:
    """The averaged weights of an experiment directory or pack, and the tokenizers of its tokens."""
    expdir = part_of(expdir, "mask_diffusion")
    semantic, acoustic = (config_section(expdir, name, TokenizerInfo) for name in ("semantic", "acoustic"))
    model = MaskDiffusion(
        config_section(expdir, "model", MaskDiffusionConfig),
        config_section(expdir, "diffusion", DiffusionConfig),
        num_levels=acoustic.num_levels,
        codebook_size=acoustic.codebook_size,
        semantic_size=semantic.codebook_size,
    )
    load_weights(expdir, model)
    return model, semantic, acoustic


class MaskDiffusionGenerator(SoundStormGenerator):
    """A trained :class:`MaskDiffusion` in place of SoundStorm."""

    kind = "mask_diffusion"
    read = staticmethod(load_mask_diffusion)
    decode = staticmethod(decode)

    def tell(self, *_) -> None:
        """All levels are filled in at once: there is none to name."""
