"""Accuracy of AudioLM's semantic stage on pairs: the likelier of two recordings (sWUGGY, sBLIMP)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, command_line, config_parser, run_front


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument(
        "--pairs", required=True, help="gold.csv of sWUGGY, sBLIMP or alike, with the recordings, WAV, beside it"
    )
    parser.add_argument(
        "--semantic", required=True, help="experiment directory of train_audiolm --stage semantic"
    )
    parser.add_argument("--kmeans", required=True, help="k-means directory that makes the tokens of the recordings")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Score, print a table, write JSON."""
    args = get_parser().parse_args(argv)

    from soundstorm.data.audio import read_audio
    from soundstorm.decoding.audiolm_generator import LanguageModel
    from soundstorm.decoding.audiolm_likelihood import log_likelihoods
    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.extras import publish_extra
    from soundstorm.scoring.likelihood_pairs import pairwise_accuracy, read_pairs, recordings
    from soundstorm.tokens.semantic import SemanticTokenizer

    device = choose_device(args.device)
    model = LanguageModel.load(args.semantic, "semantic", device)
    pairs = read_pairs(args.pairs)
    files = recordings(pairs)
    tokenizer = SemanticTokenizer.load(args.kmeans, device=device)
    model.semantic.check_same(tokenizer.info, args.semantic, args.kmeans)
    tokens = [tokenizer.encode([read_audio(path, tokenizer.info.sample_rate)])[0] for path in files]
    found = dict(zip(files, log_likelihoods(model, tokens), strict=True))
    content = {
        "pairs": args.pairs,
        "semantic": args.semantic,
        "per_token": pairwise_accuracy(pairs, lambda path: found[path].per_token),
        "total": pairwise_accuracy(pairs, lambda path: found[path].total),
    }
    publish_extra("pairs", content, args.output, command=command_line(argv), device=device)


if __name__ == "__main__":
    run_front(main)
