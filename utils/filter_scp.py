#!/usr/bin/env python3
"""Keep the lines of a file whose key is in a list.

usage: utils/filter_scp.py [--exclude] [-f <n>] <ids> [<in.scp>] > <out.scp>
 e.g.: utils/filter_scp.py data/dev/utt2spk data/all/wav.scp > data/dev/wav.scp

The list is the first fields of <ids>; the key is the n-th field of a line (default 1). Without <in.scp> the lines
come from stdin. With --exclude the other lines are kept.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from typing import BinaryIO


def main(arguments: list[str]) -> None:
    rest, exclude, field = list(arguments), False, 1
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--exclude":
            exclude = True
        elif option == "-f" and rest and rest[0].isdecimal() and int(rest[0]) > 0:
            field = int(rest.pop(0))
        else:
            raise SystemExit(f"filter_scp.py: cannot understand {option} (see --help)")
    if len(rest) not in (1, 2):
        raise SystemExit(f"filter_scp.py: expected <ids> [<in.scp>], got {len(rest)} arguments (see --help)")
    # Bytes throughout: what is not a key is none of our business.
    ids = set()
    for number, line in lines_of(open(rest[0], "rb"), rest[0]):  # noqa: SIM115
        if not line.split():
            raise SystemExit(f"filter_scp.py: {rest[0]}, line {number} is empty")
        ids.add(line.split(maxsplit=1)[0])
    from_stdin = rest[1:] in ([], ["-"])
    name = "stdin" if from_stdin else rest[1]
    for number, line in lines_of(sys.stdin.buffer if from_stdin else open(name, "rb"), name):  # noqa: SIM115
        fields = line.split(maxsplit=field)
        if len(fields) < field:
            raise SystemExit(f"filter_scp.py: {name}, line {number} has no field {field}: {line!r}")
        if (fields[field - 1] in ids) != exclude:
            sys.stdout.buffer.write(line)


def lines_of(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Lines by number; a byte order mark would hide the first key."""
    with stream:
        for number, line in enumerate(stream, start=1):
            if line.startswith(codecs.BOM_UTF8):
                raise SystemExit(
                    f"filter_scp.py: {name}, line {number} starts with a byte order mark; remove it with "
                    f"sed -i 's/^\\xEF\\xBB\\xBF//' {name}"
                )
            yield number, line


if __name__ == "__main__":
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__.strip())
        sys.exit(0)
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"filter_scp.py: {error}")
