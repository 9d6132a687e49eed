"""Train the semantic-to-text model, for back-translation (SPEAR-TTS)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
from soundstorm.data.datasets.dataset_configs import TranscriptionDataConfig
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": SemanticToTextConfig, "data": TranscriptionDataConfig, "training": TrainerConfig}


def get_parser() -> FrontParser:
    """Options of the command."""
    return training_parser(__doc__, SECTIONS, "data directory with text and semantic.scp")


def main(argv: list[str] | None = None) -> None:
    """Train."""
    run = training_run(get_parser().parse_args(argv), SECTIONS)
    from soundstorm.training.semantic_to_text_training import train_semantic_to_text

    train_semantic_to_text(run)


if __name__ == "__main__":
    run_front(main)
