"""Pre-train the text-to-semantic model on semantic tokens alone, by denoising deleted tokens (SPEAR-TTS)."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.data.datasets.dataset_configs import DenoisingDataConfig
from soundstorm.models.text_to_semantic_config import TextLossConfig, TextToSemanticConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": TextToSemanticConfig,
    "data": DenoisingDataConfig,
    "loss": TextLossConfig,
    "training": TrainerConfig,
}


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument(
        "--train-data", required=True, help="data directory with semantic.scp; no text is needed"
    )
    parser.add_argument("--valid-data", required=True, help="the same, to watch the training")
    parser.add_argument("--expdir", required=True, help="experiment directory to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Pre-train."""
    args = get_parser().parse_args(argv)
    settings = {f"{name}_config": section(args, name, cls) for name, cls in SECTIONS.items()}
    settings["trainer_config"] = settings.pop("training_config")

    import sys

    from soundstorm.training.text_to_semantic_pretraining import pretrain_text_to_semantic

    pretrain_text_to_semantic(
        args.train_data, args.valid_data, expdir=args.expdir, command=sys.argv, **settings
    )


if __name__ == "__main__":
    run_front(main)
