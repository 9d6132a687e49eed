"""Shares of a set of utterances for jobs side by side: by a hash of the id, so that one utterance more or less moves no
other."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from soundstorm.data.errors import InputError


@dataclass(frozen=True)
class Share:
    """One of several shares."""

    number: int  # from 1
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """``2/5`` is the second of five.

        Raises:
            ValueError: anything else.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"--share is {text!r}, expected <number>/<of>, e.g. 2/5 for the second of five shares")
        return cls(int(match[1]), int(match[2]))

    def of_ids(self, ids: Iterable[str]) -> list[str]:
        """Those of the utterances that are in it, in their order."""
        return [utt for utt in ids if zlib.crc32(utt.encode()) % self.of == self.number - 1]
