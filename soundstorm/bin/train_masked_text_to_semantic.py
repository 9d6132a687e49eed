"""Train the parallel text-to-semantic model, and measure its token errors on validation texts once."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_run
from soundstorm.bin.train_text_to_semantic import text_parser
from soundstorm.data.datasets.dataset_configs import MaskedTextDataConfig
from soundstorm.models.text_to_semantic_config import MaskedTextLossConfig, MaskedTextToSemanticConfig, TextConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": MaskedTextToSemanticConfig,
    "text": TextConfig,
    "data": MaskedTextDataConfig,
    "loss": MaskedTextLossConfig,
    "training": TrainerConfig,
}


def get_parser() -> FrontParser:
    """Options of the command."""
    return text_parser(__doc__, SECTIONS)


def main(argv: list[str] | None = None) -> None:
    """Train; then compare output with the validation set's tokens."""
    args = get_parser().parse_args(argv)
    run = training_run(args, SECTIONS)
    from soundstorm.data.experiment import is_first_process
    from soundstorm.decoding.free_running import report_free_running
    from soundstorm.training.masked_text_to_semantic_training import train_masked_text_to_semantic

    train_masked_text_to_semantic(run)
    if is_first_process():
        report_free_running(args.expdir, args.valid_data, num_utterances=args.read_utterances)


if __name__ == "__main__":
    run_front(main)
