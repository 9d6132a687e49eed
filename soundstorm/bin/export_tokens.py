"""Write the tokens of a data directory for lhotse, ESPnet or WebDataset (utils/export_tokens.sh)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front

FORMATS = ("lhotse", "espnet", "webdataset")


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = FrontParser(prog="export_tokens", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--format", required=True, choices=FORMATS,
        help="lhotse: cuts with the tokens as arrays; espnet: kaldi_ark files with data.json; webdataset: "
        "tars of npy and JSON",
    )  # fmt: skip
    parser.add_argument("--data-dir", required=True, help="with semantic.scp, acoustic.scp or both")
    parser.add_argument("--output", required=True, help="directory to make")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and export."""
    args = get_parser().parse_args(argv)
    from soundstorm.sharing.token_formats import export_tokens

    print(f"{args.output}: {export_tokens(args.data_dir, args.output, args.format)} utterances")


if __name__ == "__main__":
    run_front(main)
