"""Makes data/train, dev and test of piano music: pieces of equal length, as segments of whole recordings.

Test and dev have works that no other set has; a work stands where other corpora have a speaker. There are no words.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile
from pieces import SETS, Piece, check_names, read_maestro, read_midi
from render import find_sound_font, render_all

from soundstorm.data.set_writer import SetWriter, Utterance
from soundstorm.scoring.measures import evenly_spaced

logger = logging.getLogger(__name__)


def get_parser() -> argparse.ArgumentParser:
    """The options of local/data.sh."""
    parser = argparse.ArgumentParser(
        prog="local/data.sh",
        usage="local/data.sh --maestro <dir> | --midi <dir> | --compose <works> [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--maestro", type=Path, help="MAESTRO v3.0.0, with its own sets; give --audio-format flac to "
                        "run.sh, as its recordings are stereo and of 44.1 or 48 kHz")  # fmt: skip
    source.add_argument("--midi", type=Path, help="folder of MIDI files, which FluidSynth plays")
    source.add_argument("--compose", type=int, metavar="WORKS", help="make up so many works, and play those")
    add("--compose-seconds", type=float, default=120.0, help="length of each of them (%(default)s)")
    add("--seed", type=int, default=0, help="another seed makes up others (%(default)s)")
    add("--soundfont", type=Path, help="SF2 or SF3 file (default: Debian's FluidR3_GM, or else TimGM6mb)")
    add("--corpus-dir", type=Path, default=Path("corpus"), help="where recordings of MIDI files go (%(default)s)")
    add("--sample-rate", type=int, default=16000, help="Hz of those recordings (%(default)s)")
    add("--dev-works", type=int, default=4, help="works of MIDI files held out for data/dev (%(default)s)")
    add("--test-works", type=int, default=6, help="works of MIDI files held out for data/test (%(default)s)")
    add("--chunk-seconds", type=float, default=24.0, help="length of an utterance: prompt and continuation "
        "(%(default)s); what is left at the end of a recording is not used")  # fmt: skip
    add("--train-chunk-seconds", type=float, help="length of those of data/train (default: as --chunk-seconds)")
    for name in SETS:
        add(f"--{name}-chunks", type=int, help=f"most utterances of data/{name}, evenly over the works (default: all)")
    add("--nj", type=int, default=2, help="MIDI files played at a time (%(default)s)")
    add("--datadir", type=Path, default=Path("data"), help="where the sets go (%(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Write the three sets."""
    args = get_parser().parse_args(argv)
    chunks = {name: getattr(args, f"{name}_chunks") for name in SETS}
    names = ("chunk_seconds", "train_chunk_seconds", "compose_seconds", "nj", "sample_rate", "compose")
    limits = {name: getattr(args, name) for name in names}
    limits |= {f"{name}_chunks": number for name, number in chunks.items()}
    for name, value in limits.items():
        if value is not None and value <= 0:
            raise ValueError(f"--{name.replace('_', '-')} is {value:g}, expected more than 0")
    if args.maestro:
        pieces = read_maestro(args.maestro)
    else:
        folder = args.midi
        if args.compose:
            from compose import write_works

            folder = write_works(args.corpus_dir / "midi", args.compose, args.compose_seconds, args.seed)
        pieces = read_midi(folder, dev_works=args.dev_works, test_works=args.test_works)
        check_names(pieces)
        options = {"sample_rate": args.sample_rate, "nj": args.nj}
        pieces = render_all(pieces, args.corpus_dir / "flac", find_sound_font(args.soundfont), **options)
    check_names(pieces)
    seconds = dict.fromkeys(SETS, args.chunk_seconds) | {"train": args.train_chunk_seconds or args.chunk_seconds}
    utterances, short = {}, 0
    for piece in pieces:
        found = cut(piece, seconds[piece.set_name])
        short += not found
        utterances |= {utterance.name: (piece, utterance) for utterance in found}
    if short:
        logger.warning("%d of %d pieces are shorter than an utterance of their set and left out", short, len(pieces))
    for name in SETS:
        of_set = [utt for utt, (piece, _) in utterances.items() if piece.set_name == name]
        if not of_set:
            raise ValueError(
                f"no piece of {name} is {seconds[name]:g} s long; see --chunk-seconds and, for train, "
                "--train-chunk-seconds"
            )
        write(args.datadir / name, [utterances[utt] for utt in evenly_spaced(of_set, chunks[name])])


def cut(piece: Piece, seconds: float) -> list[Utterance]:
    """The whole chunks of a recording, named by where they begin, in hundredths of a second."""
    try:
        info = soundfile.info(str(piece.path))
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{piece.path}: cannot be read as audio ({error}); is the corpus whole?") from error
    starts = [number * seconds for number in range(int(info.duration // seconds))]
    return [
        Utterance(f"{piece.name}-{round(start * 100):06d}", piece.name, start, start + seconds) for start in starts
    ]


def write(directory: Path, chosen: Sequence[tuple[Piece, Utterance]]) -> None:
    """One set, work by work."""
    with SetWriter(directory) as writer:
        for work in sorted({piece.work for piece, _ in chosen}):
            mine = [(piece, utterance) for piece, utterance in chosen if piece.work == work]
            recordings = {piece.name: piece.path for piece, _ in mine}
            writer.add(work, recordings, [utterance for _, utterance in mine])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s")
    try:
        main()
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
