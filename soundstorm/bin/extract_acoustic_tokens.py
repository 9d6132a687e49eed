"""Write the acoustic tokens of the utterances of a data directory, or of some of them, to an archive."""

from soundstorm.bin.common import FrontParser, run_front


def get_parser():
    """Options of the command."""
    parser = FrontParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", required=True, help="data directory")
    parser.add_argument("--keys", help="file whose first column names the utterances; all of them by default")
    parser.add_argument(
        "--codec",
        required=True,
        help="experiment directory of train_codec, or encodec:, dac: or mimi: before a hub name or a "
        "directory of transformers, with the number of levels or the bit rate after @, such as "
        "encodec:facebook/encodec_24khz@6kbps",
    )
    parser.add_argument(
        "--shard-utterances", type=int, default=5000, help="utterances per .ark; complete ones are kept"
    )
    parser.add_argument("--output", required=True, help="prefix of the .ark, .scp and .json to write")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and extract."""
    args = get_parser().parse_args(argv)

    from soundstorm.tokens.acoustic import extract_acoustic_tokens

    extract_acoustic_tokens(
        args.data_dir, args.keys, args.codec, args.output,
        device=args.device, shard_utterances=args.shard_utterances,
    )  # fmt: skip


if __name__ == "__main__":
    run_front(main)
