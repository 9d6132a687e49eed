"""Compare the rates of a codec, a ready one or that of a configuration of train_codec, with those of the recordings
and, of a ready one, of the semantic tokens, before hours go into these.
"""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.bin.train_codec import SECTIONS
from soundstorm.data.errors import InputError
from soundstorm.tokens.features import CHOICES


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--codec", help="experiment directory, pack or name, as elsewhere; else the one to be trained")
    parser.add_argument("--data-dir", nargs="*", default=[], help="recordings that it is to code, with utt2rate")
    parser.add_argument("--features", help=f"what k-means will cluster, for --codec: {CHOICES}")
    parser.add_argument("--layer", type=int, default=None, help="of the model")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Compare, and of a ready codec say how its frames and the semantic tokens lie against each other.

    Raises:
        ValueError: too many recordings have another sample rate than the codec to be left out.
    """
    args = get_parser().parse_args(argv)
    if (args.codec is None) != (args.features is None):
        raise InputError("--codec and --features go together; give both or none")

    import logging
    from pathlib import Path

    from soundstorm.data.audio import wrong_rate
    from soundstorm.data.frame_ratio import FrameRatio
    from soundstorm.data.table_index import read_numbers
    from soundstorm.tokens.acoustic import load_acoustic_tokenizer
    from soundstorm.tokens.features import open_features
    from soundstorm.tokens.merge import LEAST_SHARE

    codec = load_acoustic_tokenizer(args.codec).info if args.codec else section(args, "model", SECTIONS["model"])
    for table in filter(Path.exists, (Path(data_dir, "utt2rate") for data_dir in args.data_dir)):
        ids, rates = read_numbers(table)
        others = (rates != codec.sample_rate).nonzero()[0].tolist()
        if len(others) > (1 - LEAST_SHARE) * len(ids):
            wrong = wrong_rate(f"{table}: {ids[others[0]]}", rates[others[0]], codec.sample_rate)
            raise wrong if args.codec else InputError(f"{wrong}, or train a codec of theirs: set model.sample_rate")
    if not args.codec:
        return
    rate = open_features(args.features, args.layer).frame_rate
    ratio = FrameRatio.between(rate, codec.frame_rate)
    logging.info(
        "%s: %g frames/s of %d levels; %d semantic tokens (%g/s) to %d frames",
        args.codec, codec.frame_rate, codec.num_levels, ratio.tokens, rate, ratio.frames,
    )  # fmt: skip
    if ratio.tokens > ratio.frames:
        logging.warning(
            "only %.2g of the semantic tokens will condition a frame; a codec of at least %g frames/s uses all",
            ratio.frames / ratio.tokens, rate,
        )  # fmt: skip


if __name__ == "__main__":
    run_front(main)
