"""Train mask diffusion on stored semantic and acoustic tokens (stage 4)."""

from soundstorm.bin.common import FrontParser, acoustic_model_parser, run_front, starting_codebooks, training_run
from soundstorm.data.datasets.diffusion_config import DiffusionDataConfig
from soundstorm.models.mask_diffusion_config import DiffusionConfig, MaskDiffusionConfig
from soundstorm.models.soundstorm_config import InitConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": MaskDiffusionConfig,
    "diffusion": DiffusionConfig,
    "data": DiffusionDataConfig,
    "init": InitConfig,
    "training": TrainerConfig,
}


def get_parser() -> FrontParser:
    """Options of the command."""
    return acoustic_model_parser(__doc__, SECTIONS)


def main(argv: list[str] | None = None) -> None:
    """Parse and train."""
    args = get_parser().parse_args(argv)
    run = training_run(args, SECTIONS)
    from soundstorm.training.mask_diffusion_training import train_mask_diffusion

    train_mask_diffusion(run, codebooks=starting_codebooks(run, args.codec))


if __name__ == "__main__":
    run_front(main)
