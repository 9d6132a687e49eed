"""Train the network that measures acoustic consistency, on original recordings (no text is needed)."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.models.consistency_config import ConsistencyConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": ConsistencyConfig, "crops": CropConfig, "training": TrainerConfig}


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--train-data", required=True, help="data directory of original recordings")
    parser.add_argument("--valid-data", required=True, help="the same, to watch the training")
    parser.add_argument("--ssl-model", required=True, help="as train_kmeans has it; no prefix but recognizer:")
    parser.add_argument("--expdir", required=True, help="experiment directory to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train to the end, going on from the last checkpoint."""
    args = get_parser().parse_args(argv)
    settings = {name: section(args, name, cls) for name, cls in SECTIONS.items()}

    import sys
    from pathlib import Path

    from soundstorm.training.consistency_training import train_consistency

    train_consistency(
        args.train_data,
        args.valid_data,
        ssl_model=args.ssl_model,
        expdir=Path(args.expdir),
        model_config=settings["model"],
        crop_config=settings["crops"],
        trainer_config=settings["training"],
        command=sys.argv,
    )


if __name__ == "__main__":
    run_front(main)
