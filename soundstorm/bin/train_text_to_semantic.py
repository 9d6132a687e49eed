"""Train the text-to-semantic model, and measure free-running token errors on validation texts once."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, config_parser, run_front, section
from soundstorm.data.datasets.dataset_configs import TextDataConfig
from soundstorm.models.text_to_semantic_config import (
    PretrainedConfig,
    TextConfig,
    TextLossConfig,
    TextToSemanticConfig,
)
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": TextToSemanticConfig,
    "text": TextConfig,
    "data": TextDataConfig,
    "loss": TextLossConfig,
    "pretrained": PretrainedConfig,
    "training": TrainerConfig,
}


def get_parser():
    """Options of the command."""
    return add_data(config_parser(__doc__, SECTIONS))


def add_data(parser: FrontParser) -> FrontParser:
    """Options that the trainings of all text-to-semantic models have."""
    parser.add_argument("--train-data", required=True, help="data directory with text and semantic.scp")
    parser.add_argument("--valid-data", required=True, help="the same, to watch the training")
    parser.add_argument("--expdir", required=True, help="experiment directory to write")
    parser.add_argument(
        "--read-utterances",
        type=int,
        default=20,
        help="validation texts to synthesize at the end; 0 for none",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train; then compare free-running output with the validation set's tokens."""
    args = get_parser().parse_args(argv)
    settings = {f"{name}_config": section(args, name, cls) for name, cls in SECTIONS.items()}
    settings["trainer_config"] = settings.pop("training_config")

    import sys

    from soundstorm.data.experiment import is_first_process
    from soundstorm.decoding.free_running import report_free_running
    from soundstorm.training.text_to_semantic_training import train_text_to_semantic

    train_text_to_semantic(args.train_data, args.valid_data, expdir=args.expdir, command=sys.argv, **settings)
    if is_first_process():
        report_free_running(args.expdir, args.valid_data, num_utterances=args.read_utterances)


if __name__ == "__main__":
    run_front(main)
