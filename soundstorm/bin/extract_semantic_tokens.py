"""Write the semantic tokens of a data directory, or of some of its utterances, to an archive."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument("--data-dir", required=True, help="data directory to read")
    parser.add_argument(
        "--keys", default=None, help="table whose first field names the utterances (default: all)"
    )
    parser.add_argument("--kmeans", required=True, help="k-means directory of train_kmeans")
    parser.add_argument(
        "--batch-seconds", type=float,
        help="padded seconds in a batch, 0: one utterance; by default 200 on a GPU, else 0",
    )
    parser.add_argument(
        "--shard-utterances",
        type=int,
        default=5000,
        help="utterances per .ark; complete ones are kept",
    )
    parser.add_argument("--output", required=True, help="prefix of the .ark, .scp and .json to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Tokenize."""
    args = get_parser().parse_args(argv)

    from soundstorm.data.archive import write_shards
    from soundstorm.data.audio import Utterances
    from soundstorm.data.data_dir import read_table
    from soundstorm.models.devices import choose_device
    from soundstorm.tokens.semantic import SemanticTokenizer

    tokenizer = SemanticTokenizer.load(args.kmeans, device=choose_device("auto"))
    keys = list(read_table(args.keys)) if args.keys else None
    utterances = Utterances(args.data_dir, tokenizer.info.sample_rate, keys, lower=True)
    write_shards(
        args.output,
        utterances.ids,
        lambda ids: tokenizer.encode_utterances(
            utterances.part(ids), batch_seconds=args.batch_seconds, leave_out=True
        ),
        tokenizer.info,
        sources=utterances.sources,
        shard_utterances=args.shard_utterances,
    )


if __name__ == "__main__":
    run_front(main)
