"""Makes data/train and dev of LibriLight, data/test_clean and, on request, train_text and dev_text of LibriSpeech.

LibriLight is cut at its published voice activity into pieces of at most 30 s; dev is of speakers of its own.
Speakers are LibriVox's readers in both corpora, so those of LibriSpeech's test and dev sets are not trained on.
No table is held in memory: what is, is the list of recordings and the pieces of one speaker.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import librilight
import librispeech
from librilight import Cuts, Recording

from soundstorm.data.data_dir import first_of, write_log
from soundstorm.data.set_writer import SetWriter, Utterance

logger = logging.getLogger(__name__)
MOST_LOST = 0.05  # share of recordings


def get_parser() -> argparse.ArgumentParser:
    """The options of local/data.sh."""
    parser = argparse.ArgumentParser(
        prog="local/data.sh",
        usage="local/data.sh --librilight <dir> --librispeech <dir> [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--librilight", type=Path, required=True, help="folder that holds small/, medium/, large/ or some of them")
    add("--librispeech", type=Path, required=True, help="folder that holds test-clean/")
    add("--subsets", default="", help="of LibriLight, e.g. small,medium (default: those that are there, not duplicate)")
    add("--test-part", default="test-clean", help="of LibriSpeech, for data/test_clean (%(default)s)")
    add("--text-parts", default="", metavar="A,B", help="of LibriSpeech, for data/train_text, e.g. train-clean-100; "
        "the model of stage 5 learns from it")  # fmt: skip
    add("--text-dev-part", default="dev-clean", help="of LibriSpeech, for data/dev_text beside it (%(default)s)")
    add("--max-seconds", type=float, default=Cuts().max_seconds, help="longest piece (%(default)s)")
    add("--min-seconds", type=float, default=Cuts().min_seconds, help="shorter pieces are left out (%(default)s)")
    add("--max-gap", type=float, default=Cuts().max_gap, help="longest silence in a piece, seconds (%(default)s)")
    add("--dev-speakers", type=int, default=16, help="speakers held out for data/dev (%(default)s)")
    add("--dev-utterances", type=int, default=500, help="most utterances of data/dev (%(default)s)")
    add("--nj", type=int, default=8, help="threads that read headers (%(default)s)")
    add("--datadir", type=Path, default=Path("data"), help="where the sets go (%(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write LibriSpeech's sets, then LibriLight's without their speakers."""
    args = get_parser().parse_args(argv)
    if not 0 < args.min_seconds <= args.max_seconds:
        raise ValueError(
            f"--min-seconds is {args.min_seconds:g} and --max-seconds {args.max_seconds:g}, expected 0 < min <= max"
        )
    subsets = choose_subsets(args.librilight, args.subsets)
    root = librispeech.corpus_root(args.librispeech)
    held_out = librispeech.write_test(args.datadir / "test_clean", root, args.test_part)
    if args.text_parts:
        held_out |= librispeech.write_transcribed(args.datadir / "dev_text", root, [args.text_dev_part])
        librispeech.write_transcribed(args.datadir / "train_text", root, args.text_parts.split(","))
    cuts = Cuts(args.max_seconds, args.min_seconds, args.max_gap)
    recordings, repeated = librilight.find_recordings(args.librilight, subsets)
    if repeated:
        logger.info("%d recordings are in several subsets and count once", repeated)
    if known := sorted(held_out & set(recordings)):
        logger.info("%d speakers are in LibriSpeech's test or dev set and left out (%s, ...)", len(known), known[0])
    recordings = {speaker: files for speaker, files in recordings.items() if speaker not in held_out}
    Preparation(cuts, args.nj).write(
        args.datadir, recordings, choose_dev(recordings, args.dev_speakers), args.dev_utterances
    )


def choose_subsets(root: Path, names: str) -> list[str]:
    """The subsets asked for, or those that are there."""
    wanted = [name for name in names.split(",") if name] or [n for n in librilight.SUBSETS if (root / n).is_dir()]
    missing = [name for name in wanted if not (root / name).is_dir()]
    if missing or not wanted:
        raise FileNotFoundError(f"--librilight {root}: no folder {(missing or librilight.SUBSETS)[0]} in it. "
                                f"{librilight.HELP}")  # fmt: skip
    return wanted


def choose_dev(speakers: Iterable[str], number: int) -> set[str]:
    """Speakers of the dev set: by the hash of their names, so that another subset does not move most of them."""
    ranked = sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())
    if not 0 < number < len(ranked):
        raise ValueError(f"--dev-speakers is {number}, expected at least 1 and fewer than the {len(ranked)} there are")
    return set(ranked[:number])


@dataclass
class Preparation:
    """Cutting and writing of LibriLight, and what was lost on the way."""

    cuts: Cuts
    num_threads: int
    lost: list[str] = field(default_factory=list)  # why a recording cannot be used

    def write(self, datadir: Path, recordings: dict[str, list[Recording]], dev: set[str], most_dev: int) -> None:
        """Write train speaker by speaker; dev, which is small, in the end."""
        kept: dict[str, list[Utterance]] = {}
        with ThreadPoolExecutor(max(1, self.num_threads)) as pool, SetWriter(datadir / "train") as writer:
            for speaker, files in recordings.items():
                utterances = [u for pieces in pool.map(self._cut, files) for u in pieces]
                if speaker in dev:
                    kept[speaker] = utterances
                else:
                    writer.add(speaker, _used(files, utterances), utterances)
            total = sum(map(len, recordings.values()))
            if len(self.lost) > MOST_LOST * total:
                raise ValueError(
                    f"{len(self.lost)} of {total} recordings cannot be used, more than {MOST_LOST:.0%}: {self.lost[0]}"
                )
            if not writer.num_utterances:
                raise ValueError("LibriLight: no speech is left for training; see --subsets and --min-seconds")
        if self.lost:
            log = datadir / "log/left_out"
            write_log(log, sorted(self.lost))
            logger.warning("%d of %d recordings are left out, all of them in %s:", len(self.lost), total, log)
            for line in first_of(sorted(self.lost)):
                logger.warning("  %s", line)
        everyone = [(speaker, u) for speaker, utterances in kept.items() for u in utterances]
        step = max(1, -(-len(everyone) // most_dev))
        with SetWriter(datadir / "dev") as writer:
            for speaker, files in recordings.items():
                utterances = [u for name, u in everyone[::step] if name == speaker]
                writer.add(speaker, _used(files, utterances), utterances)
        if not writer.num_utterances:
            raise ValueError("LibriLight: the dev speakers have no speech; give more --dev-speakers")

    def _cut(self, recording: Recording) -> list[Utterance]:
        try:
            pieces = librilight.read_pieces(recording, self.cuts)
        except (ValueError, OSError) as error:
            self.lost.append(str(error))
            return []
        # Named by where they begin, in hundredths of a second: other cuts make other names.
        return [
            Utterance(f"{recording.name}-{round(start * 100):07d}", recording.name, start, end) for start, end in pieces
        ]


def _used(files: Sequence[Recording], utterances: Sequence[Utterance]) -> dict[str, Path]:
    names = {utterance.recording for utterance in utterances}
    return {name: path for name, path in files if name in names}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s")
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
