"""How systems that read text by attention aligned it with speech: a table and a picture of the report."""

from soundstorm.bin.common import FrontParser, command_line, config_parser, run_front


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument("--decode-dir", nargs="+", required=True, help="directories that synthesize wrote")
    parser.add_argument("--output", required=True, help="JSON file to write; the picture goes beside it")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Read, print, write."""
    args = get_parser().parse_args(argv)
    from soundstorm.scoring.alignments import read_alignments
    from soundstorm.scoring.extras import publish_extra

    systems, drawn = read_alignments(args.decode_dir)
    publish_extra("alignments", {"systems": systems, "drawn": drawn}, args.output, command=command_line(argv))


if __name__ == "__main__":
    run_front(main)
