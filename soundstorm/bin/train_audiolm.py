"""Train one of AudioLM's stages on stored tokens: a baseline for SoundStorm (stage 4)."""

from soundstorm.bin.common import FrontParser, acoustic_model_parser, run_front, starting_codebooks, training_run
from soundstorm.data.audiolm_stages import STAGES
from soundstorm.data.datasets.dataset_configs import AudioLMDataConfig
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.soundstorm_config import InitConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": AudioLMConfig, "data": AudioLMDataConfig, "init": InitConfig, "training": TrainerConfig}


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = acoustic_model_parser(__doc__, SECTIONS)
    words = "which of the language models; acoustic: the coarse one without semantic tokens, to compare with"
    parser.add_argument("--stage", required=True, choices=STAGES, help=words)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and train."""
    args = get_parser().parse_args(argv)
    run = training_run(args, SECTIONS)
    from soundstorm.training.audiolm_training import train_audiolm

    train_audiolm(run, args.stage, codebooks=starting_codebooks(run, args.codec))


if __name__ == "__main__":
    run_front(main)
