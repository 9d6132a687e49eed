"""Write decoded speech as WAVs with a list in the manner of Seed-TTS (utils/export_wavs.sh)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = FrontParser(prog="export_wavs", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", required=True, help="what was decoded, with text")
    parser.add_argument(
        "--decode-dir", required=True, help="output of synthesize, e.g. exp/soundstorm/decode_x/test"
    )
    parser.add_argument(
        "--output", required=True,
        help="directory to make: meta.lst with lines 'id|prompt text|prompt WAV|text', wavs/<id>.wav, "
        "prompts/<id>.wav",
    )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and export."""
    args = get_parser().parse_args(argv)
    from soundstorm.sharing.wav_list import export_wavs

    print(f"{args.output}: {export_wavs(args.data_dir, args.decode_dir, args.output)} utterances")


if __name__ == "__main__":
    run_front(main)
