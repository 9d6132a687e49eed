"""Figures that a recipe sets out to reach, and whether it did."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soundstorm.data.errors import InputError

_COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_FIGURE = r"(?P<{0}figure>[\w ]+?) of (?P<{0}subject>.+?)"
_TARGET = re.compile(
    _FIGURE.format("") + r" (?P<sign><=|>=|<|>) (?P<limit>-?\d+(\.\d+)?)"
    r"(?P<relative> (?P<operation>[*+]) " + _FIGURE.format("other_") + ")?"
)


@dataclass(frozen=True)
class TargetResult:
    """One target and what came out."""

    figure: str
    subject: str
    sign: str
    limit: float | None  # None where it depends on a figure that was not measured
    value: float | None  # None where nothing was measured
    met: bool
    relative: str = ""  # how the limit depends on another figure, e.g. `1.35 * wer of codec`


def check_targets(targets: Sequence[str], figures: Mapping[tuple[str, str], float]) -> list[TargetResult]:
    """Compare measured figures with targets.

    Args:
        targets: Such as `wer of original <= 3`, or with a limit that depends on another figure,
            `wer of soundstorm <= 1.35 * wer of codec`, `stoi of codec >= -0.05 + stoi of original`.
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
        if match["relative"]:
            other = figures.get((match["other_figure"].lower(), match["other_subject"].lower()))
            limit = None if other is None else limit * other if match["operation"] == "*" else limit + other
        value = figures.get((figure.lower(), subject.lower()))
        met = value is not None and limit is not None and _COMPARISONS[sign](value, limit)
        relative = match["limit"] + match["relative"] if match["relative"] else ""
        results.append(TargetResult(figure, subject, sign, limit, value, met, relative))
    return results
