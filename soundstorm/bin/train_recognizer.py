"""Train the scoring stage's own recogniser: character CTC on log-mel spectra of original recordings."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": RecognizerConfig, "augment": AugmentConfig, "training": TrainerConfig}


def get_parser() -> FrontParser:
    """Options of the command."""
    place = "experiment directory to write; score's --recognizer takes it"
    return training_parser(__doc__, SECTIONS, "data directory of original recordings with text", expdir=place)


def main(argv: list[str] | None = None) -> None:
    """Train."""
    run = training_run(get_parser().parse_args(argv), SECTIONS)
    from pathlib import Path

    from soundstorm.data.data_dir import read_table
    from soundstorm.scoring.text_normalization import read_references
    from soundstorm.training.recognizer_training import train_recognizer

    train_recognizer(run, texts={d: read_references(read_table(Path(d) / "text")) for d in run.data_dirs})


if __name__ == "__main__":
    run_front(main)
