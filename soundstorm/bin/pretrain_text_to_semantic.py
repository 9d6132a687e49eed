"""Pre-train the text-to-semantic model on semantic tokens alone, by denoising deleted tokens (SPEAR-TTS)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
from soundstorm.data.datasets.dataset_configs import DenoisingDataConfig
from soundstorm.models.text_to_semantic_config import TextLossConfig, TextToSemanticConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": TextToSemanticConfig,
    "data": DenoisingDataConfig,
    "loss": TextLossConfig,
    "training": TrainerConfig,
}


def get_parser() -> FrontParser:
    """Options of the command."""
    return training_parser(__doc__, SECTIONS, "data directory with semantic.scp; no text is needed")


def main(argv: list[str] | None = None) -> None:
    """Pre-train."""
    run = training_run(get_parser().parse_args(argv), SECTIONS)
    from soundstorm.training.text_to_semantic_pretraining import pretrain_text_to_semantic

    pretrain_text_to_semantic(run)


if __name__ == "__main__":
    run_front(main)
