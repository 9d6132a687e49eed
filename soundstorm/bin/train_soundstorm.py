"""Train SoundStorm on stored semantic and acoustic tokens (stage 4)."""

from soundstorm.bin.common import FrontParser, acoustic_model_parser, run_front, starting_codebooks, training_run
from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig
from soundstorm.models.soundstorm_config import InitConfig, SoundStormConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": SoundStormConfig,
    "data": WindowConfig,
    "masking": MaskingConfig,
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
    from soundstorm.training.soundstorm_training import train_soundstorm

    train_soundstorm(run, codebooks=starting_codebooks(run, args.codec))


if __name__ == "__main__":
    run_front(main)
