"""Train k-means on MFCC or on a layer of a model: labels to train a HuBERT on, or the semantic vocabulary."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front
from soundstorm.tokens.features import CHOICES


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument("--data-dir", required=True, help="data directory to train on")
    parser.add_argument("--features", required=True, help=CHOICES)
    parser.add_argument("--layer", type=int, default=None, help="of the model; 0 is what enters the first")
    parser.add_argument("--clusters", type=int, default=100, help="K")
    parser.add_argument("--portion", type=float, default=1.0, help="portion of the utterances to train on")
    parser.add_argument(
        "--normalization",
        choices=["none", "global", "utterance"],
        default="none",
        help="bring dimensions to zero mean and unit variance, over all frames or over each utterance",
    )
    parser.add_argument(
        "--library", choices=["sklearn", "faiss"], default="sklearn", help="faiss for very much data"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the portion and the clustering")
    parser.add_argument(
        "--batch-seconds", type=float,
        help="padded seconds in a batch, 0: one utterance; by default 200 on a GPU, else 0",
    )
    parser.add_argument("--output", required=True, help="directory to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Cluster, unless the directory has its centroids."""
    args = get_parser().parse_args(argv)

    import logging
    from pathlib import Path

    from soundstorm.data.audio import Utterances
    from soundstorm.data.feature_parts import FeatureParts
    from soundstorm.models.devices import choose_device
    from soundstorm.tokens.features import open_features
    from soundstorm.tokens.kmeans import CENTROIDS
    from soundstorm.tokens.semantic import train_semantic_kmeans

    parts = FeatureParts(Path(args.output) / "features")
    if (Path(args.output) / CENTROIDS).is_file():
        logging.info("%s: already trained", args.output)
        parts.remove()
        return
    features = open_features(args.features, args.layer, device=choose_device("auto"))
    kmeans = train_semantic_kmeans(
        features,
        Utterances(args.data_dir, features.sample_rate, lower=True),
        args.clusters,
        portion=args.portion,
        normalization=args.normalization,
        library=args.library,
        seed=args.seed,
        batch_seconds=args.batch_seconds,
        parts=parts,
    )
    kmeans.save(args.output)
    parts.remove()


if __name__ == "__main__":
    run_front(main)
