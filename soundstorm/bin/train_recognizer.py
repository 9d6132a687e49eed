"""Train the scoring stage's own recogniser: character CTC on log-mel spectra of original recordings."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": RecognizerConfig, "augment": AugmentConfig, "training": TrainerConfig}


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--train-data", required=True, help="data directory of original recordings with text")
    parser.add_argument("--valid-data", required=True, help="the same, to watch the training")
    parser.add_argument(
        "--expdir", required=True, help="experiment directory to write; score's --recognizer takes it"
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train."""
    args = get_parser().parse_args(argv)
    settings = {name: section(args, name, cls) for name, cls in SECTIONS.items()}

    import sys
    from pathlib import Path

    from soundstorm.data.data_dir import read_table
    from soundstorm.scoring.text_normalization import read_references
    from soundstorm.training.recognizer_training import train_recognizer

    train_recognizer(
        args.train_data,
        args.valid_data,
        texts={d: read_references(read_table(Path(d) / "text")) for d in (args.train_data, args.valid_data)},
        expdir=Path(args.expdir),
        model_config=settings["model"],
        augment_config=settings["augment"],
        trainer_config=settings["training"],
        command=sys.argv,
    )


if __name__ == "__main__":
    run_front(main)
