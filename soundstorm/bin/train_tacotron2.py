"""Train one of Tacotron 2's networks, speech from text without semantic tokens (stage 4)."""

from dataclasses import replace

from soundstorm.bin.common import FrontParser, acoustic_model_parser, run_front, training_run
from soundstorm.data.mel_features import MelConfig
from soundstorm.models.tacotron2_config import (
    FEATURES,
    STAGES,
    SpokenTextsConfig,
    Tacotron2Config,
    Tacotron2LossConfig,
    WaveNetConfig,
)
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "mel": MelConfig,
    "model": Tacotron2Config,
    "loss": Tacotron2LossConfig,
    "data": SpokenTextsConfig,
    "training": TrainerConfig,
    "wavenet": WaveNetConfig,
    "wavenet_training": TrainerConfig,
}


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = acoustic_model_parser(__doc__, SECTIONS)
    parser.add_argument("--stage", required=True, choices=STAGES, help="which of the two networks")
    parser.add_argument(
        "--features", help="for stage wavenet: experiment of stage features (default: that beside --expdir)"
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and train."""
    args = get_parser().parse_args(argv)
    run = training_run(args, SECTIONS)
    from soundstorm.scoring.voice_preservation import load_speaker_model
    from soundstorm.training.tacotron2_training import train_features, train_wavenet

    wavenet = {"model": run.config.pop("wavenet"), "training": run.config.pop("wavenet_training")}
    if args.stage == FEATURES:
        train_features(run, load_speaker_model=load_speaker_model)
    else:
        features = args.features or run.expdir.parent / FEATURES
        train_wavenet(replace(run, config=wavenet), features=features, load_speaker_model=load_speaker_model)


if __name__ == "__main__":
    run_front(main)
