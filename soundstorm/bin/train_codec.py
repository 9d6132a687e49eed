"""Train a codec: encoder, residual quantizer and decoder, with or without discriminators."""

from soundstorm.bin.common import config_parser, run_front, section
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


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--train-data", required=True, help="data directory")
    parser.add_argument("--valid-data", required=True, help="data directory, to watch the training")
    parser.add_argument("--expdir", required=True, help="experiment directory to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and train."""
    args = get_parser().parse_args(argv)
    settings = {name: section(args, name, cls) for name, cls in SECTIONS.items()}

    import sys

    from soundstorm.training.codec_training import train_codec

    train_codec(args.train_data, args.valid_data, expdir=args.expdir, command=sys.argv, **settings)


if __name__ == "__main__":
    run_front(main)
