"""Figures that a recipe sets out to reach, and whether it did."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from soundstorm.data.errors import InputError

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_TARGET = re.compile(r"(?P<figure>[\w ]+?) of (?P<subject>.+?) (?P<sign><=|>=|<|>) (?P<limit>-?\d+(\.\d+)?)")


@dataclass(frozen=True)
class TargetResult:
    """One target and what came out."""

    figure: str
    subject: str
    sign: str
    limit: float
    value: float | None  # None where nothing was measured
    met: bool

    def as_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)


def check_targets(targets: Sequence[str], figures: Mapping[tuple[str, str], float]) -> list[TargetResult]:
    """Compare measured figures with targets.

    Args:
        targets: Such as `wer of original <= 3`.
        figures: (figure, subject) to value, in small letters.

    Raises:
        ValueError: If a target cannot be read.
    """
    results = []
    for target in targets:
        match = _TARGET.fullmatch(target.strip())
        if match is None:
            raise InputError(
                f"report.targets has {target!r}, expected '<figure> of <subject> <= <number>', "
                f"e.g. 'wer of original <= 3'"
            )
        figure, subject, sign, limit = match["figure"], match["subject"], match["sign"], float(match["limit"])
        value = figures.get((figure.lower(), subject.lower()))
        met = value is not None and _COMPARISONS[sign](value, limit)
        results.append(TargetResult(figure, subject, sign, limit, value, met))
    return results
