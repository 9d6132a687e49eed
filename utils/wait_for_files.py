#!/usr/bin/env python3
"""Wait until this machine sees files that jobs on others have written, 65 s at most.

usage: utils/wait_for_files.py <file> ...
 e.g.: utils/wait_for_files.py dump/semantic/train/semantic.1.scp dump/semantic/train/semantic.2.scp

The exit status is 0 also where one does not appear: who reads it says what is missing.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from soundstorm.data.shared_files import wait_until  # noqa: E402


def main(files: list[str]) -> None:
    """Say how, or wait."""
    if files in ([], ["--help"], ["-h"]):
        print(__doc__.strip())
        return
    wait_until(lambda: all(map(os.path.exists, files)), {os.path.dirname(file) or "." for file in files})


if __name__ == "__main__":
    main(sys.argv[1:])
