"""Pack trained models to share: weights, settings, tokenizers and a model card (utils/pack_model.sh)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = FrontParser(prog="pack_model", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--acoustic-model", action="append", default=[], dest="acoustic_models",
        help="experiment directory of stage 4, with all its stages; may be given several times",
    )  # fmt: skip
    parser.add_argument("--text-to-semantic", help="experiment directory of train_text_to_semantic")
    parser.add_argument(
        "--codec", help="experiment directory of train_codec, or encodec:NAME, dac:NAME, mimi:NAME"
    )
    parser.add_argument("--kmeans", help="k-means directory; a local model of its features is packed too")
    parser.add_argument("--recognizer", help="experiment directory of train_recognizer")
    parser.add_argument("--consistency", help="experiment directory of train_consistency")
    parser.add_argument("--title", help="of the model card (default: the name of --output)")
    parser.add_argument("--license", help="of the weights, as the hub names them, e.g. cc-by-4.0")
    parser.add_argument("--language", help="code of the language, e.g. en")
    parser.add_argument("--corpus", help="what the models were trained on, in words")
    parser.add_argument("--results", help="Markdown file with the scores, e.g. exp/report/RESULTS.md")
    parser.add_argument("--output", required=True, help="directory to make")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and pack."""
    args = get_parser().parse_args(argv)
    from pathlib import Path

    from soundstorm.sharing.model_card import Card
    from soundstorm.sharing.packing import LOADERS, pack_model

    title = args.title or Path(args.output).name
    pack_model(
        args.output,
        {part: getattr(args, part) for part in LOADERS if getattr(args, part)},
        Card(title, args.license, args.language, args.corpus, args.results),
        acoustic_models=args.acoustic_models,
    )


if __name__ == "__main__":
    run_front(main)
