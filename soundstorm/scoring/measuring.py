"""Measuring utterance by utterance: what was measured is kept at once, and one bad utterance is one bad utterance."""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soundstorm.data.data_dir import naming, write_text
from soundstorm.data.errors import InputError
from soundstorm.scoring.measures import Measure, Measured, Pair, read_ahead

logger = logging.getLogger(__name__)
LEAST_SHARE = 0.95  # of the utterances that a measure applies to
RECORDING = "recording"  # what failed where an utterance cannot even be read
BLOCK = 8  # utterances read at a time
SHOWN = 10  # utterances named in a message about many


@dataclass
class UtteranceScore:
    """Everything measured of one utterance."""

    decoded_seconds: float = 0.0
    values: dict[str, tuple[float, float]] = field(default_factory=dict)  # as in `Measured`
    details: dict[str, Any] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)  # measures that found something
    undefined: dict[str, str] = field(default_factory=dict)  # metric -> why it has no value here
    failed: dict[str, str] = field(default_factory=dict)  # measure, metric or RECORDING -> what went wrong


def name_of(measure: Measure) -> str:
    """What a measure is called in messages and tables."""
    return getattr(measure, "name", type(measure).__name__)


def measure_utterances(
    utts: Sequence[str], read: Callable[[str], Pair], measures: Sequence[Measure]
) -> Iterator[tuple[str, UtteranceScore]]:
    """Every measure of each utterance; those that fail are named and leave the others alone."""
    for start in range(0, len(utts), BLOCK):
        pairs = {utt: _read(utt, read) for utt in utts[start : start + BLOCK]}
        for measure in measures:
            try:
                read_ahead(measure, [pair for pair in pairs.values() if isinstance(pair, Pair)])
            except (ValueError, RuntimeError) as error:  # comes again, of one utterance, and is named then
                logger.debug("%s of several utterances: %s", name_of(measure), error)
        for utt, pair in pairs.items():
            yield utt, measure_utterance(utt, pair, measures)


def _read(utt: str, read: Callable[[str], Pair]) -> Pair | Exception:
    try:
        return read(utt)
    except (ValueError, OSError) as error:
        return error


def measure_utterance(utt: str, pair: Pair | Exception, measures: Sequence[Measure]) -> UtteranceScore:
    """Every measure of one utterance, or why it cannot be read."""
    score = UtteranceScore()
    if isinstance(pair, Exception):
        score.failed[RECORDING] = str(pair)
        return score
    score.decoded_seconds = len(pair.decoded) / pair.sample_rate
    for measure in measures:
        try:
            found: Measured = measure(pair)
        except Exception as error:
            # Libraries refuse odd recordings by either of these; all else is a fault of the program.
            if not isinstance(error, (ValueError, RuntimeError)) or "out of memory" in str(error):
                logger.error("%s of utterance %s failed", name_of(measure), utt)
                raise
            score.failed[name_of(measure)] = str(error)
            continue
        if found.values or found.undefined:
            score.applied.append(name_of(measure))
        for name, (top, bottom) in found.values.items():
            if math.isfinite(top) and math.isfinite(bottom) and bottom > 0:
                score.values[name] = float(top), float(bottom)
            else:
                score.failed[name] = f"measured as {top} / {bottom}, expected a number"
        score.details.update({name: value for name, value in found.details.items() if _is_plain(value)})
        score.undefined.update(found.undefined)
    return score


def _is_plain(detail: Any) -> bool:
    """Whether JSON can hold it, which knows neither NaN nor infinity."""
    try:
        return bool(json.dumps(detail, allow_nan=False))
    except ValueError:
        return False


class MeasuredLog:
    """Scores of utterances that an interrupted run, or other jobs for the same output, have measured already.

    Files ``<output>.partial`` and ``<output>.share<number>`` with a line for each utterance; the first line says of
    which inputs and settings.
    """

    def __init__(self, output: Path, inputs: str, *, name: str = "partial"):
        """
        Args:
            output: the score file that all of it is for.
            inputs: digest of inputs and settings; what was measured of others is not used.
            name: of this job's own file.
        """
        self._output, self._own = output, output.with_name(f"{output.name}.{name}")
        self._header = json.dumps({"inputs": inputs})
        self.known: dict[str, UtteranceScore] = {}
        for path in self._files():
            self.known.update(self._read(path))
        if not self._own.exists() or not self._is_ours(self._own):
            self._own.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._own, self._header + "\n")

    def _files(self) -> list[Path]:
        names = re.compile(re.escape(self._output.name) + r"\.(partial|share\d+)")
        return sorted(path for path in self._output.parent.glob("*") if names.fullmatch(path.name))

    def _is_ours(self, path: Path) -> bool:
        with open(path, encoding="utf-8") as stream:
            return stream.readline().rstrip("\n") == self._header

    def _read(self, path: Path) -> Iterator[tuple[str, UtteranceScore]]:
        if not self._is_ours(path):
            return
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            try:
                content = json.loads(line)
            except ValueError:  # the line that was being written
                continue
            score = UtteranceScore(**content["score"])
            score.values = {name: tuple(pair) for name, pair in score.values.items()}
            if not score.failed:  # what failed is tried again: it may have been repaired
                yield content["utterance"], score

    def write(self, utt: str, score: UtteranceScore) -> None:
        """Keep the score of an utterance."""
        with naming(self._own), open(self._own, "a", encoding="utf-8") as stream:
            # After an interrupt the last line may be half there.
            stream.write("\n" * (stream.tell() > 0 and not self._whole()))
            stream.write(json.dumps({"utterance": utt, "score": vars(score)}) + "\n")

    def _whole(self) -> bool:
        with open(self._own, "rb") as stream:
            stream.seek(-1, 2)
            return stream.read(1) == b"\n"

    def remove(self) -> None:
        """Remove the files: the output is written."""
        for path in self._files():
            path.unlink()


def left_out(scores: Mapping[str, UtteranceScore], system: str) -> dict[str, dict[str, str]]:
    """What each measure left out: measure or metric -> utterance -> why; warns of it.

    Raises:
        ValueError: a measure failed for more than 5 % of the utterances that it applies to.
    """
    found: dict[str, dict[str, str]] = {}
    for utt, score in scores.items():
        for name, reason in (*score.failed.items(), *score.undefined.items()):
            found.setdefault(name, {})[utt] = reason
    failures = Counter(name for score in scores.values() for name in score.failed)
    measured = Counter(name for score in scores.values() for name in {*score.applied, *score.values})
    for name, utterances in found.items():
        shown = "; ".join(f"{utt}: {reason}" for utt, reason in list(utterances.items())[:SHOWN])
        if len(utterances) > SHOWN:
            shown += f"; and {len(utterances) - SHOWN} more"
        total = len(scores) if name == RECORDING else measured[name] + len(utterances)
        message = f"{system}: {name} has no value for {len(utterances)} of {total} utterances: {shown}"
        if failures[name] > (1 - LEAST_SHARE) * total:
            raise InputError(f"{message}. At least 95 % are needed; repair or remove these recordings")
        logger.warning("%s", message)
    return found
