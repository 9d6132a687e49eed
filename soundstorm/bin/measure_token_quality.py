"""Print how much tokens say about phones (PNMI, purities) and voices, from a data directory's phone times."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front
from soundstorm.data.errors import InputError


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument("--data-dir", required=True, help="data directory with phones.ctm")
    parser.add_argument(
        "--tokens", action="append", default=[], help="semantic tokens to measure, an scp; repeatable"
    )
    parser.add_argument(
        "--kmeans", action="append", default=[], help="or a k-means directory, to make them; repeatable"
    )
    parser.add_argument("--output", default=None, help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write JSON."""
    args = get_parser().parse_args(argv)
    if not args.tokens and not args.kmeans:
        raise InputError("nothing to measure; give --tokens or --kmeans")

    from soundstorm.scoring.token_quality import measure_sources, quality_table, write_report

    results = measure_sources(args.data_dir, tokens=args.tokens, kmeans=args.kmeans)
    print(quality_table(results))
    if args.output:
        write_report(args.output, results)


if __name__ == "__main__":
    run_front(main)
