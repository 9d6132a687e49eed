"""Pre-train a HuBERT: predict, at masked frames, the clusters of MFCC or of an earlier HuBERT's features."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front, training_parser, training_run
from soundstorm.data.datasets.dataset_configs import HubertDataConfig
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": HubertPretrainingConfig, "data": HubertDataConfig, "training": TrainerConfig}


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = training_parser(
        __doc__,
        SECTIONS,
        "data directory to train on",
        valid="another, to watch the training",
        expdir="where to write; the model is in its hubert/",
    )
    parser.add_argument("--labels-kmeans", required=True, help="k-means directory that makes the labels")
    parser.add_argument("--target-layer", type=int, default=0, help="layer whose clusters a next training will learn")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Make the labels, train, then write a transformers directory.

    Raises:
        ValueError: it will not have the layer that a next training is to learn from.
    """
    args = get_parser().parse_args(argv)
    run = training_run(args, SECTIONS)
    import logging

    from soundstorm.data.audio import Utterances
    from soundstorm.data.errors import InputError
    from soundstorm.data.experiment import is_first_process
    from soundstorm.models.devices import choose_device
    from soundstorm.tokens.labels import stored_labels
    from soundstorm.tokens.semantic import SemanticTokenizer
    from soundstorm.training.hubert_training import pretrain_hubert

    layers = run.config["model"].num_layers
    if args.target_layer > layers:
        raise InputError(
            f"a next training is to learn clusters of layer {args.target_layer} of this HuBERT, which will have layers "
            f"0 to {layers} (model.num_layers); give another --target-layer, in a recipe --hubert-target-layer"
        )
    if (run.expdir / "hubert" / "model.safetensors").is_file():
        logging.info("%s: already trained", args.expdir)
        return
    device = choose_device("auto") if is_first_process() else "cpu"  # where the labels are made
    tokenizer = SemanticTokenizer.load(args.labels_kmeans, device=device)
    labels = {}
    for name, data_dir in {"valid": args.valid_data, "train": args.train_data}.items():
        utterances = Utterances(data_dir, tokenizer.info.sample_rate, lower=True)
        labels[data_dir] = stored_labels(tokenizer, utterances, f"{args.expdir}/labels/{name}")
    pretrain_hubert(run, labels=labels, label_info=tokenizer.info)


if __name__ == "__main__":
    run_front(main)
