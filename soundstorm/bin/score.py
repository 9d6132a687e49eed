"""Score systems: every metric with its count and 95 % bootstrap interval, over all and per length.

Several in one call load the models once: --system, --data-dir, --decode-dir and --output take one value for
each. Further measurements: score abx, detector, iterations, music, pairs, runtime; score report joins them
all (each with --help).
"""

from __future__ import annotations

from pathlib import Path

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.scoring.scoring_config import ScoreConfig

# First word of the command line -> the front that it stands for.
FURTHER = {
    "abx": "measure_abx",
    "detector": "detect",
    "iterations": "measure_iterations",
    "music": "measure_music",
    "pairs": "measure_pairs",
    "runtime": "measure_runtime",
    "report": "report",
}


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {"score": ScoreConfig})
    parser.add_argument("--data-dir", nargs="+", help="test set: recordings, text")
    parser.add_argument(
        "--decode-dir",
        nargs="+",
        help="output of synthesize; the originals are scored without it or where it is none",
    )
    parser.add_argument(
        "--wav-scp",
        nargs="+",
        help="instead of --decode-dir: tables of recordings that anything else has made, named by --system, their "
        "utterances named as in --data-dir; without --data-dir there is nothing to compare voices with",
    )
    parser.add_argument("--text", help="what --wav-scp says, where there is no --data-dir")
    parser.add_argument(
        "--system", nargs="+", help="name of the row (default: that of the system that was decoded)"
    )
    parser.add_argument(
        "--recognizer",
        action="append",
        default=[],
        help="experiment directory of train_recognizer, transformers model (directory or hub name), "
        "faster-whisper:<directory or hub name>, or espnet:<name>; closed:<a CTC model> decodes with "
        "the words of --vocabulary-text only. "
        "Again for a second opinion, whose figures carry its name",
    )
    parser.add_argument("--vocabulary-text", help="Kaldi text file with the words of closed vocabularies")
    parser.add_argument(
        "--speaker", default="resemblyzer", help="resemblyzer, a transformers x-vector model, or none"
    )
    parser.add_argument("--consistency", help="experiment directory of train_consistency")
    parser.add_argument(
        "--versa", metavar="CONFIG",
        help="score_config of VERSA, which then measures too, where it is installed; its figures are called versa_...",
    )  # fmt: skip
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz of the recordings")
    parser.add_argument(
        "--share", help="score only this shard of the utterances, e.g. 2/5; then call without"
    )
    parser.add_argument(
        "--dry-run", action="store_true",
        help="measure nothing; print those of --output that are missing or made of other files or with other settings",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="for models: cpu, cuda or auto")
    parser.add_argument("--output", nargs="+", required=True, help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Score, unless the output was made from the same files with the same settings; or measure further."""
    import sys

    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in FURTHER:
        import importlib

        return importlib.import_module(f"soundstorm.bin.{FURTHER[words[0]]}").main(words[1:])
    parser = get_parser()
    args = parser.parse_args(words)
    config = section(args, "score", ScoreConfig)
    if args.wav_scp and (args.decode_dir or not args.system or not (args.data_dir or args.text)):
        parser.error("--wav-scp needs --system, and --data-dir or --text, and excludes --decode-dir")
    if not args.data_dir and not args.wav_scp:
        parser.error("the following arguments are required: --data-dir (or --wav-scp and --text)")
    decode_dirs = args.wav_scp or args.decode_dir or ["none"] * len(args.output)
    data_dirs = args.data_dir or [None] * len(args.output)
    systems = args.system or [None] * len(args.output)
    counts = [len(values) for values in (systems, data_dirs, decode_dirs, args.output)]
    if len(set(counts)) > 1:
        parser.error(
            "--system, --data-dir, --decode-dir (or --wav-scp) and --output need one value for each system, "
            f"got {', '.join(map(str, counts))}; an original's --decode-dir is none"
        )
    for table in args.wav_scp or ():
        if not Path(table).is_file():
            parser.error(f"--wav-scp {table}: no such file; expected a table of names and recordings, as wav.scp is")

    from soundstorm.data.share import Share
    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.assemble import ScoringJob, score_files

    rows = zip(systems, data_dirs, decode_dirs, args.output)
    outdated = score_files(
        [
            ScoringJob(system, data, None if decode == "none" else decode, output, args.text)
            for system, data, decode, output in rows
        ],
        recognizers=args.recognizer,
        vocabulary_text=args.vocabulary_text,
        speaker=None if args.speaker == "none" else args.speaker,
        consistency=args.consistency,
        sample_rate=args.sample_rate,
        device=choose_device(args.device),
        config=config,
        share=Share.parse(args.share) if args.share else None,
        versa=args.versa,
        dry_run=args.dry_run,
    )
    if args.dry_run:
        for output in outdated:
            print(output)


if __name__ == "__main__":
    run_front(main)
