#!/usr/bin/env python3
"""Turn utt2spk into spk2utt, with the speakers in order of first appearance.

usage: utils/utt2spk_to_spk2utt.py [<utt2spk>] > <spk2utt>
 e.g.: utils/utt2spk_to_spk2utt.py data/train/utt2spk > data/train/spk2utt
"""

from __future__ import annotations

import codecs
import sys


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise SystemExit(
            f"utt2spk_to_spk2utt.py: expected one file or none, got {len(arguments)} (see --help)"
        )
    from_stdin = arguments in ([], ["-"])
    name = "stdin" if from_stdin else arguments[0]
    stream = sys.stdin.buffer if from_stdin else open(arguments[0], "rb")  # noqa: SIM115
    utterances: dict[bytes, list[bytes]] = {}
    with stream:
        for number, line in enumerate(stream, start=1):
            fields, has_mark = line.split(), line.startswith(codecs.BOM_UTF8)
            if len(fields) != 2 or has_mark:
                raise SystemExit(
                    f"utt2spk_to_spk2utt.py: {name}, line {number}: expected <utterance> <speaker>, "
                    f"got {len(fields)} fields{' after a byte order mark' if has_mark else ''}"
                )
            utterances.setdefault(fields[1], []).append(fields[0])
    for speaker, names in utterances.items():
        sys.stdout.buffer.write(speaker + b" " + b" ".join(names) + b"\n")


if __name__ == "__main__":
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__.strip())
        sys.exit(0)
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"utt2spk_to_spk2utt.py: {error}")
