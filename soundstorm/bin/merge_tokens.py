"""Join the token archives of array jobs into one scp file of a data directory, and count lost utterances."""

from soundstorm.bin.common import FrontParser, run_front


def get_parser():
    """Options of the command."""
    parser = FrontParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--data-dir", help="data directory the utterances come from; by default where --output lies"
    )
    parser.add_argument(
        "--output", required=True, help="the scp file to write, such as data/train/semantic.scp"
    )
    parser.add_argument("parts", nargs="+", help="scp files of the jobs")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and merge."""
    args = get_parser().parse_args(argv)

    from soundstorm.tokens.merge import merge_tokens

    merge_tokens(args.parts, args.output, data_dir=args.data_dir)


if __name__ == "__main__":
    run_front(main)
