"""Train the semantic-to-text model, for back-translation (SPEAR-TTS)."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.data.datasets.dataset_configs import TranscriptionDataConfig
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": SemanticToTextConfig, "data": TranscriptionDataConfig, "training": TrainerConfig}


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--train-data", required=True, help="data directory with text and semantic.scp")
    parser.add_argument("--valid-data", required=True, help="the same, to watch the training")
    parser.add_argument("--expdir", required=True, help="experiment directory to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train."""
    args = get_parser().parse_args(argv)
    settings = {f"{name}_config": section(args, name, cls) for name, cls in SECTIONS.items()}
    settings["trainer_config"] = settings.pop("training_config")

    import sys

    from soundstorm.training.semantic_to_text_training import train_semantic_to_text

    train_semantic_to_text(args.train_data, args.valid_data, expdir=args.expdir, command=sys.argv, **settings)


if __name__ == "__main__":
    run_front(main)
