"""Score one system: every metric with its count and 95 % bootstrap interval, over all and per length."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.scoring.config import ScoreConfig


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {"score": ScoreConfig})
    parser.add_argument("--data-dir", required=True, help="test set: recordings, text")
    parser.add_argument("--decode-dir", help="output of synthesize; without it the originals are scored")
    parser.add_argument("--system", required=True, help="name of the row, e.g. 'SoundStorm from text'")
    parser.add_argument(
        "--recognizer",
        action="append",
        default=[],
        help="experiment directory of train_recognizer, transformers model (directory or hub name), espnet:<name>, or "
        "pocketsphinx; closed:<a CTC model> reads with the words of --bigram-text only. Again for a second opinion, "
        "whose figures carry its name",
    )
    parser.add_argument("--bigram-text", help="Kaldi text file: pocketsphinx's language model, closed vocabularies")
    parser.add_argument("--speaker", default="resemblyzer", help="resemblyzer, a transformers x-vector model, or none")
    parser.add_argument("--consistency", help="experiment directory of train_consistency")
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz of the recordings")
    parser.add_argument("--device", default="cpu", help="for models: cpu or cuda")
    parser.add_argument("--output", required=True, help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Score, unless the output is there and was made from the same files with the same settings."""
    args = get_parser().parse_args(argv)
    config = section(args, "score", ScoreConfig)

    from soundstorm.scoring.assemble import score_files

    score_files(
        args.system,
        data_dir=args.data_dir,
        decode_dir=args.decode_dir,
        output=args.output,
        recognizers=args.recognizer,
        bigram_text=args.bigram_text,
        speaker=None if args.speaker == "none" else args.speaker,
        consistency=args.consistency,
        load_consistency=_load_consistency,
        load_trained=_load_trained,
        sample_rate=args.sample_rate,
        device=args.device,
        config=config,
    )


def _load_consistency(expdir: str, device: str):
    """scoring knows no models of ours, so the front brings this one."""
    from soundstorm.training.train_consistency import load_consistency

    return load_consistency(expdir, device=device)


def _load_trained(expdir: str, device: str):
    """The recipe's own recogniser, brought likewise."""
    from soundstorm.training.train_recognizer import load_recognizer

    return load_recognizer(expdir, device=device)


if __name__ == "__main__":
    run_front(main)
