"""Train the text-to-semantic model, and measure free-running token errors on validation texts once."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
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


def get_parser() -> FrontParser:
    """Options of the command."""
    return text_parser(__doc__, SECTIONS)


def text_parser(description: str, sections: dict[str, type]) -> FrontParser:
    """A :func:`training_parser` with the options that the trainings of all text-to-semantic models have."""
    parser = training_parser(description, sections, "data directory with text and semantic.scp")
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
    run = training_run(args, SECTIONS)
    from soundstorm.data.experiment import is_first_process
    from soundstorm.decoding.free_running import report_free_running
    from soundstorm.training.text_to_semantic_training import train_text_to_semantic

    train_text_to_semantic(run)
    if is_first_process():
        report_free_running(args.expdir, args.valid_data, num_utterances=args.read_utterances)


if __name__ == "__main__":
    run_front(main)
