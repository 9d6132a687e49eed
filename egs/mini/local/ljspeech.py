"""Makes train, dev and test of LJ Speech as published (metadata.csv and wavs/), or of as much of it as there is.

The last clips are for test, those before them for dev, so that neither has sentences that training shares a page with.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile

from soundstorm.data.set_writer import SetWriter, Utterance

SPEAKER = "LJ"


def main(argv: Sequence[str] | None = None) -> None:
    """Write the three sets."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of metadata.csv and wavs/")
    parser.add_argument("--dev", type=int, required=True, help="clips of dev")
    parser.add_argument("--test", type=int, required=True, help="clips of test")
    parser.add_argument("--datadir", type=Path, required=True, help="where the sets go")
    args = parser.parse_args(argv)
    texts = read_metadata(args.corpus / "metadata.csv")
    clips = {name: args.corpus / "wavs" / f"{name}.wav" for name in sorted(texts)}
    clips = {name: path for name, path in clips.items() if path.is_file()}
    if not min(args.dev, args.test) > 0 or len(clips) <= args.dev + args.test:
        raise ValueError(
            f"{args.corpus / 'wavs'} has {len(clips)} of the {len(texts)} clips of metadata.csv, expected more than "
            f"the {args.dev} of dev and {args.test} of test, at least one each"
        )
    names = list(clips)
    first_dev, first_test = len(names) - args.dev - args.test, len(names) - args.test
    parts = {"train": names[:first_dev], "dev": names[first_dev:first_test], "test": names[first_test:]}
    for part, members in parts.items():
        with SetWriter(args.datadir / part, segments=False, text=True) as data_set:
            seconds = {name: soundfile.info(str(clips[name])).duration for name in members}
            data_set.add(
                SPEAKER,
                {f"{SPEAKER}-{name}": clips[name].resolve() for name in members},
                [Utterance(f"{SPEAKER}-{n}", f"{SPEAKER}-{n}", 0.0, seconds[n], texts[n]) for n in members],
            )


def read_metadata(path: Path) -> dict[str, str]:
    """The normalised text of every clip: the third of the columns `name|text|text with numbers in words`."""
    if not path.is_file():
        raise ValueError(
            f"{path} is missing; pass the folder of LJ Speech that has it: ./run_voice.sh --corpus <LJSpeech-1.1>"
        )
    texts = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        columns = line.split("|")
        if len(columns) != 3 or not columns[0] or not columns[2].strip():
            raise ValueError(f"{path}, line {number}: expected name|text|normalised text, got {line!r}")
        texts[columns[0]] = " ".join(columns[2].split())
    return texts


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s")
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
