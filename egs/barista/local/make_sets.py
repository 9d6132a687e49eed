"""Makes data/train, dev and test of drink orders, and data/train_all: train and other, untranscribed speech.

The source is a checkout of https://github.com/Picovoice/speech-to-intent-benchmark, whose recordings have
neither transcripts nor speakers: both are made here, see local/benchmark.py. Or it is data in Kaldi's format
that have them: a folder of data directories train, dev and test, or one data directory beside whose wav.scp
the files split_train.utts, split_dev.utts and split_test.utts name each set's utterances. All of this is then
taken as it is.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark import LABELS, BenchmarkOptions, read_benchmark
from prepare import Sets, convert, refuse_double, write_set
from sources import read_data_dir, read_extra

from soundstorm.data.data_dir import read_lines

SETS = ("train", "dev", "test")
SOURCE_HELP = (
    "pass a checkout (git clone https://github.com/Picovoice/speech-to-intent-benchmark), a folder of data "
    "directories train, dev and test, or a data directory with split_train.utts, split_dev.utts and "
    'split_test.utts: ./run.sh --local-data-opts "--source <dir>"'
)


def get_parser() -> argparse.ArgumentParser:
    """The options of local/data.sh."""
    parser = argparse.ArgumentParser(
        prog="local/data.sh",
        usage="local/data.sh --source <dir> [--extra-data <dir>]... [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--source", type=Path, help="the benchmark's repository, or Kaldi data directories made of it")
    add("--extra-data", type=Path, action="append", default=[], metavar="DIR",
        help="other speech for what needs no transcripts (HuBERT, k-means, codec): a Kaldi data directory or "
        "a folder of such; give the option again for more")  # fmt: skip
    add(
        "--recognizer",
        default="openai/whisper-base",
        help="what hears the order of the words in a checkout (%(default)s)",
    )
    add(
        "--test-voices",
        type=int,
        default=8,
        help="voices of a checkout that are held out for test (%(default)s)",
    )
    add(
        "--dev-utterances",
        type=int,
        default=40,
        help="utterances of a checkout that are held out for dev (%(default)s)",
    )
    add("--datadir", type=Path, default=Path("data"), help="where the sets go (%(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the sources, brings recordings to the sets' rate, writes the sets."""
    args = get_parser().parse_args(argv)
    if args.source is None:
        raise ValueError(f"--source is missing; {SOURCE_HELP}")
    if (args.source / LABELS).is_file():
        options = BenchmarkOptions(
            args.recognizer, args.test_voices, args.dev_utterances, args.datadir / "benchmark"
        )
        sets = read_benchmark(args.source, options)
    else:
        sets = read_kaldi(args.source)
    extra = [
        replace(utterance, text=None) for directory in args.extra_data for utterance in read_extra(directory)
    ]
    everything = [*(utterance for name in SETS for utterance in sets[name]), *extra]
    refuse_double(everything)
    recordings = convert(everything, args.datadir / "converted")
    for name in SETS:
        write_set(args.datadir / name, sets[name], recordings)
    write_set(args.datadir / "train_all", [replace(u, text=None) for u in sets["train"]] + extra, recordings)


def read_kaldi(source: Path) -> Sets:
    """The sets of one data directory with lists of utterances, or of a folder of data directories."""
    directory = source / "kaldi" if (source / "kaldi/wav.scp").is_file() else source
    if (directory / "wav.scp").is_file():
        utterances = list(read_data_dir(directory))
        sets = {}
        for name in SETS:
            listed = {
                utterance for utterance, _ in read_lines(_there(directory / f"split_{name}.utts", source))
            }
            sets[name] = [utterance for utterance in utterances if utterance.names & listed]
            if not sets[name]:
                raise ValueError(f"{directory}/split_{name}.utts names no utterance of {directory}/wav.scp")
    else:
        sets = {
            name: list(read_data_dir(_there(directory / name / "wav.scp", source).parent)) for name in SETS
        }
    for name, members in sets.items():
        if silent := [utterance.name for utterance in members if not utterance.text]:
            raise ValueError(
                f"{directory}/text: no transcript of {silent[0]} (and {len(silent) - 1} more of {name})"
            )
    return sets


def _there(path: Path, source: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"--source {source}: neither {LABELS} nor {path.relative_to(source)} is there; {SOURCE_HELP}"
        )
    return path


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s"
    )
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
