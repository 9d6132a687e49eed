"""Train a codec: encoder, residual quantizer and decoder, with or without discriminators."""

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
from soundstorm.data.datasets.dataset_configs import CodecDataConfig
from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.families import CODEC_FAMILIES
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {
    "model": CODEC_FAMILIES,
    "loss": CodecLossConfig,
    "data": CodecDataConfig,
    "training": TrainerConfig,
}


def get_parser() -> FrontParser:
    """Options of the command."""
    return training_parser(__doc__, SECTIONS, "data directory")


def main(argv: list[str] | None = None) -> None:
    """Parse and train."""
    run = training_run(get_parser().parse_args(argv), SECTIONS)
    from soundstorm.training.codec_training import train_codec

    train_codec(run)


if __name__ == "__main__":
    run_front(main)
