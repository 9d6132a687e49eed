"""Make a data directory of tokens in the formats of lhotse, ESPnet or WebDataset (utils/import_tokens.sh)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front
from soundstorm.bin.export_tokens import FORMATS


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = FrontParser(prog="import_tokens", description=__doc__, allow_abbrev=False)
    parser.add_argument("--format", required=True, choices=FORMATS, help="as of export_tokens")
    parser.add_argument(
        "--input", required=True, help="directory, with the tokenizers' semantic.json, acoustic.json"
    )
    parser.add_argument("--output", required=True, help="data directory to make")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and import."""
    args = get_parser().parse_args(argv)
    from soundstorm.sharing.token_formats import import_tokens

    print(f"{args.output}: {import_tokens(args.input, args.output, args.format)} utterances")


if __name__ == "__main__":
    run_front(main)
