"""Makes data/train of train-clean-5 and, with other voices in each, data/dev and data/test of dev-clean-2."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import librispeech  # of egs/librilight

from soundstorm.scoring.measures import evenly_spaced

TRAIN, DEV = "train-clean-5", "dev-clean-2"


def main(argv: Sequence[str] | None = None) -> None:
    """Write the three sets."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the parts, or of LibriSpeech/")
    parser.add_argument("--dev-speakers", type=int, required=True, help="voices of data/dev")
    parser.add_argument("--datadir", type=Path, required=True, help="where the sets go")
    args = parser.parse_args(argv)
    root = librispeech.corpus_root(args.corpus)
    speakers = librispeech.speakers_of(root, DEV)
    if not 0 < args.dev_speakers < len(speakers):
        raise ValueError(
            f"--dev-speakers is {args.dev_speakers}, expected at least 1 and fewer than the {len(speakers)} "
            f"of {DEV}"
        )
    dev = set(evenly_spaced(speakers, args.dev_speakers))
    librispeech.write_transcribed(args.datadir / "dev", root, [DEV], only=dev)
    librispeech.write_test(args.datadir / "test", root, DEV, but=dev)
    librispeech.write_transcribed(args.datadir / "train", root, [TRAIN])


if __name__ == "__main__":
    form = "%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=form)
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
