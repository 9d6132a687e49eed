"""One row of the table: every metric over one system's output, written as one JSON file."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import write_text
from soundstorm.data.errors import InputError
from soundstorm.data.records import as_type, read_json
from soundstorm.data.share import Share
from soundstorm.scoring.acoustic_consistency import drift_curve
from soundstorm.scoring.measures import Measure, Pair
from soundstorm.scoring.measuring import MeasuredLog, left_out, measure_utterances
from soundstorm.scoring.runtime import read_timing
from soundstorm.scoring.statistics import by_length

logger = logging.getLogger(__name__)

SOURCES = ("codec", "semantic", "text", "continuation")  # of synthesize
REFERENCE, WITHOUT_PROMPT, WITH_PROMPT = "reference", "without prompt", "with prompt"


@dataclass(frozen=True)
class DecodeInfo:
    """How a decode directory came about, from its `decode.json`; of originals when there is none."""

    source: str | None = None  # one of SOURCES; other: not of synthesize; None for the originals
    prompt_seconds: float = 0.0
    settings: Mapping[str, Any] | None = None  # the whole file

    def require_title(self) -> str:
        """Its name in tables.

        Raises:
            ValueError: the file does not say it.
        """
        title = "Original" if self.settings is None else self.settings.get("title")
        if not isinstance(title, str):
            raise InputError(
                "decode.json does not say what the system is called; name it by --system, or decode again"
            )
        return title

    @property
    def group(self) -> str:
        """The row group of the paper's Table 1."""
        if self.source in (None, "codec"):
            return REFERENCE
        return WITH_PROMPT if self.prompt_seconds else WITHOUT_PROMPT

    @property
    def starts_with_prompt(self) -> bool:
        """Whether the first seconds of the output are the prompt itself."""
        return self.group != WITHOUT_PROMPT


def read_decode_info(decode_dir: Path | None) -> DecodeInfo:
    """Read `decode.json`; None stands for the original recordings, a table for speech made elsewhere."""
    if decode_dir is None:
        return DecodeInfo()
    if decode_dir.is_file():
        return DecodeInfo("other", settings={"from": "other"})
    path = decode_dir / "decode.json"
    settings = read_json(path, f"{decode_dir} is not a decode directory, or decoding failed: decode again")
    source = settings.get("from")
    try:
        prompt_seconds = as_type(settings.get("prompt_seconds") or 0.0, float, "prompt_seconds")
    except ValueError as error:
        raise InputError(f"{path}: {error}; decode again") from error
    if prompt_seconds < 0 or source not in SOURCES:
        raise InputError(
            f"{path}: 'from' is {source!r:.80} and 'prompt_seconds' {prompt_seconds}, expected one of "
            f"{', '.join(SOURCES)} and 0 or more; decode again"
        )
    return DecodeInfo(source, prompt_seconds, settings)


def read_pair(
    original: Utterances, decoded: Utterances | None, texts: Mapping[str, str], utt_id: str
) -> Pair:
    """One utterance as it was recorded and as the system gives it back."""
    wav = original.read(utt_id)
    return Pair(
        utt_id,
        original=wav,
        decoded=wav if decoded in (None, original) else decoded.read(utt_id),
        sample_rate=original.sample_rate,
        text=texts.get(utt_id),
    )


def score_system(
    system: str,
    *,
    original: Utterances,
    decoded: Utterances | None,
    texts: Mapping[str, str],
    ids: Sequence[str],
    measures: Sequence[Measure],
    info: DecodeInfo,
    timing: Path | None = None,
    log: MeasuredLog | None = None,
    share: Share | None = None,
    speakers: Mapping[str, str] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Measure every utterance that both the original and the system have.

    Args:
        system: Row name.
        original: Recordings of the test set; their lengths decide the column.
        decoded: The system's output; None scores the originals themselves.
        texts: Normalised references.
        ids: Utterances to score.
        measures: Metrics.
        info: How the output was made.
        timing: The decode directory's `timing.json`, if there is one.
        log: Keeps what was measured, utterance by utterance, so that an interrupted run goes on from there.
        share: Measure only these, into the log.
        speakers: Of all utterances, to draw these first for the intervals.
        num_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The content of the score file; None of a share.

    Raises:
        ValueError: none of the utterances was decoded, or a measure failed for more than 5 % of them.
    """
    available = set(ids) if decoded is None else set(decoded.ids)
    chosen = [utt_id for utt_id in ids if utt_id in available]
    missing = len(ids) - len(chosen)
    if not chosen:
        raise InputError(
            f"{system}: none of the {len(ids)} utterances of {original.data_dir} was decoded; "
            f"score it on the set it was decoded from"
        )
    if missing:
        logger.warning(
            "%s: %d of %d utterances were not decoded and are not scored", system, missing, len(ids)
        )
    durations = {utt_id: float(seconds) for utt_id, seconds in zip(original.ids, original.durations)}
    known = {} if log is None else log.known
    read = partial(read_pair, original, decoded, texts)
    for utt_id, score in measure_utterances(to_measure(chosen, available, share, log), read, measures):
        known[utt_id] = score
        if log is not None:
            log.write(utt_id, score)
    if share:
        return None
    scores = {utt_id: known[utt_id] for utt_id in chosen}
    unmeasured = left_out(scores, system)
    values: dict[str, dict[str, tuple[float, float]]] = {}
    records: dict[str, dict[str, Any]] = {}
    for utt_id, score in scores.items():
        record: dict[str, Any] = {
            "seconds": round(durations[utt_id], 3),
            "decoded_seconds": round(score.decoded_seconds, 3),
        }
        for name, (numerator, denominator) in score.values.items():
            values.setdefault(name, {})[utt_id] = (numerator, denominator)
            record[name] = round(numerator / denominator, 5)
        if speakers is not None:
            record["speaker"] = speakers[utt_id]
        records[utt_id] = record | score.details
    options = {"num_resamples": num_resamples, "seed": seed}
    return {
        "system": system,
        "group": info.group,
        "data_dir": str(original.data_dir),
        "decode": dict(info.settings or {}),
        "num_utterances": len(chosen),
        "num_missing": missing,
        "left_out": unmeasured,
        **({} if speakers is None else {"num_speakers": len({speakers[utt_id] for utt_id in chosen})}),
        "metrics": {
            name: {
                length: asdict(estimate)
                for length, estimate in by_length(found, durations, speakers, **options).items()
            }
            for name, found in values.items()
        },
        "drift": drift_curve(records, **options),
        "runtime": {name: asdict(part) for name, part in read_timing(timing).items()} if timing else {},
        "utterances": records,
    }


def to_measure(
    ids: Sequence[str], available: Collection[str], share: Share | None, log: MeasuredLog | None
) -> list[str]:
    """Utterances of a share, of all without one, that a system has and that have not been measured."""
    chosen = [utt_id for utt_id in ids if utt_id in available]
    known = {} if log is None else log.known
    return [utt_id for utt_id in (share.of_ids(chosen) if share else chosen) if utt_id not in known]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a score or report file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
