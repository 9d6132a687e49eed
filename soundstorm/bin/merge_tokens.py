"""Join the token archives of array jobs into one scp file of a data directory, and count lost utterances."""

from soundstorm.bin.common import FrontParser, run_front


def get_parser():
    """Options of the command."""
    parser = FrontParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--data-dir", help="data directory of the utterances; by default that of --output"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", help="the scp file to write, such as data/train/semantic.scp")
    what.add_argument(
        "--check",
        action="store_true",
        help="write nothing: name the scp files that are missing, whose archives are missing or damaged, or whose "
        "tokens were made of other audio than --data-dir has; the exit status is 1 where there are any",
    )
    parser.add_argument("parts", nargs="+", help="scp files of the jobs")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and merge."""
    args = get_parser().parse_args(argv)

    from soundstorm.tokens.merge import damaged, merge_tokens

    if args.check:
        found = damaged(args.parts, args.data_dir)
        print("".join(f"{scp}\n" for scp in found), end="")
        raise SystemExit(bool(found))
    merge_tokens(args.parts, args.output, data_dir=args.data_dir)


if __name__ == "__main__":
    run_front(main)
