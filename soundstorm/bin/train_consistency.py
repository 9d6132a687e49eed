"""Train the network that measures acoustic consistency, on original recordings (no text is needed)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.models.consistency_config import ConsistencyConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": ConsistencyConfig, "crops": CropConfig, "training": TrainerConfig}


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = training_parser(__doc__, SECTIONS, "data directory of original recordings")
    parser.add_argument("--ssl-model", required=True, help="as train_kmeans has it; no prefix but recognizer:")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train to the end, going on from the last checkpoint."""
    args = get_parser().parse_args(argv)
    run = training_run(args, SECTIONS)
    from soundstorm.training.consistency_training import train_consistency

    train_consistency(run, args.ssl_model)


if __name__ == "__main__":
    run_front(main)
