"""Reading of score files, with a check of the fields and types that the report needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.data.records import as_type, make_record, read_json
from soundstorm.scoring.acoustic_consistency import DRIFT, DriftPoint
from soundstorm.scoring.runtime import PartTime
from soundstorm.scoring.statistics import ALL, Estimate
from soundstorm.scoring.system import REFERENCE, WITH_PROMPT, WITHOUT_PROMPT

REMEDY = "score the system again"


@dataclass(frozen=True)
class _Settings:
    """Settings that the report shows."""

    recognizers: tuple[str, ...]
    speaker: str | None
    crop_seconds: float
    prompt_seconds: float


def read_score(path: Path) -> dict[str, Any]:
    """Read a score file and check that it is one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not JSON, or not what `score` writes.
    """
    content = read_json(path, REMEDY)
    needed = {"system", "group", "metrics", "utterances", "num_utterances", "decode", "data_dir"}
    if missing := needed - set(content):
        raise InputError(f"{path}: a score file needs {sorted(missing)}; {REMEDY}")
    try:
        _check(content)
    except ValueError as error:
        raise InputError(f"{path}: not a score file ({error}); {REMEDY}") from error
    return content


def _check(content: dict[str, Any]) -> None:
    for name in ("system", "data_dir"):
        as_type(content[name], str, name)
    as_type(content.get("decode_dir"), str | None, "decode_dir")
    if content["group"] not in (REFERENCE, WITHOUT_PROMPT, WITH_PROMPT):
        raise InputError(f"group is {content['group']!r:.80}")
    for name in ("num_utterances", "num_missing", "num_speakers"):
        as_type(content.get(name, 0), int, name)
    for metric, lengths in _mapping(content["metrics"], "metrics").items():
        for length, estimate in _mapping(lengths, metric).items():
            make_record(Estimate, estimate, f"{metric}, {length}")
        if ALL not in lengths:
            raise InputError(f"{metric} has no {ALL!r}")
    for part, time in _mapping(content.get("runtime", {}), "runtime").items():
        make_record(PartTime, time, f"runtime of {part}")
    drift = content.get("drift", [])
    for point in drift if isinstance(drift, list) else [drift]:
        make_record(DriftPoint, point, "drift")
    for utt_id, record in _mapping(content["utterances"], "utterances").items():
        for name, value in _mapping(record, utt_id).items():
            if name != DRIFT:
                kind = str if name in ("text", "speaker") or name.startswith("hypothesis") else float
                as_type(value, kind, f"{name} of {utt_id}")
    _mapping(content["decode"], "decode")
    settings = _mapping(content.get("settings", {}), "settings")
    if settings:
        lacking = sorted(set(_Settings.__dataclass_fields__) - set(settings))
        if lacking:
            raise InputError(f"settings lack {', '.join(lacking)}")
        make_record(_Settings, {name: settings[name] for name in _Settings.__dataclass_fields__}, "settings")


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} is {value!r:.80}, expected names with values")
    return value
