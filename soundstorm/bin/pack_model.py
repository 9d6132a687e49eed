"""Pack trained models to share: weights, settings, tokenizers and a model card (utils/pack_model.sh)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front
from soundstorm.data.errors import InputError


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = FrontParser(prog="pack_model", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--acoustic-model", action="append", default=[], dest="acoustic_models",
        help="experiment directory of stage 4, with all its stages; may be given several times",
    )  # fmt: skip
    parser.add_argument("--text-to-semantic", help="experiment directory of stage 5, of either kind")
    parser.add_argument(
        "--codec", help="experiment directory of train_codec, or encodec:NAME, dac:NAME, mimi:NAME"
    )
    parser.add_argument("--kmeans", help="k-means directory; a local model of its features is packed too")
    parser.add_argument("--recognizer", help="experiment directory of train_recognizer")
    parser.add_argument("--consistency", help="experiment directory of train_consistency")
    parser.add_argument("--decode-config", help="how they are best decoded: conf/decode.yaml of the recipe")
    parser.add_argument("--title", help="of the model card (default: the name of --output)")
    parser.add_argument("--license", help="of the weights, as the hub names them, e.g. cc-by-4.0")
    parser.add_argument(
        "--part-license", action="append", default=[], metavar="PART=LICENSE",
        help="of one part that has another, e.g. codec=mit; may be given several times",
    )  # fmt: skip
    parser.add_argument("--language", help="code of the language, e.g. en")
    parser.add_argument("--corpus", help="what the models were trained on, in words")
    parser.add_argument(
        "--dataset", action="append", default=[], dest="datasets",
        help="name on the hub of what they were trained on, e.g. openslr/librispeech_asr; one or more times",
    )  # fmt: skip
    parser.add_argument(
        "--results",
        help="Markdown file with the scores, e.g. exp/report/RESULTS.md; report.json beside it becomes "
        ".eval_results",
    )
    parser.add_argument("--output", required=True, help="directory to make; with --push alone, the pack")
    parser.add_argument("--push", metavar="ORG/NAME", help="say what would be uploaded to there on the hub")
    parser.add_argument("--really-push", action="store_true", help="and upload it, which opens a connection")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and pack."""
    args = get_parser().parse_args(argv)
    from pathlib import Path

    from soundstorm.sharing.model_card import Card
    from soundstorm.sharing.packing import LOADERS, pack_model

    if args.really_push and not args.push:
        raise InputError("--really-push goes with --push ORG/NAME, which says where")
    title = args.title or Path(args.output).name
    experiments = {part: getattr(args, part) for part in LOADERS if getattr(args, part)}
    if experiments or args.acoustic_models or not args.push:
        licenses = dict(_license(words) for words in args.part_license)
        card = Card(title, args.license, args.language, args.corpus, args.results, args.datasets, licenses)
        pack_model(
            args.output, experiments, card, acoustic_models=args.acoustic_models, decoding=args.decode_config
        )
    if args.push:
        from soundstorm.sharing.upload import push_pack

        print(push_pack(args.output, args.push, really=args.really_push))


def _license(words: str) -> tuple[str, str]:
    part, equals, name = words.partition("=")
    if not (part and equals and name):
        raise InputError(f"--part-license is {words!r:.80}, expected <part>=<licence>, e.g. codec=mit")
    return part, name


if __name__ == "__main__":
    run_front(main)
