"""All score files of a recipe as one report: differences between systems, targets, times."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.data.experiment import source_commit
from soundstorm.scoring.comparison import kinds_of, ratios_to_others
from soundstorm.scoring.side_by_side import side_by_side
from soundstorm.scoring.statistics import ALL, LENGTHS, Estimate, paired_difference
from soundstorm.scoring.system import REFERENCE, WITH_PROMPT, WITHOUT_PROMPT
from soundstorm.scoring.targets import TargetResult, check_targets

GROUPS = (REFERENCE, WITHOUT_PROMPT, WITH_PROMPT)
VOICE = "voice_to_original"


@dataclass(frozen=True)
class VoiceGain:
    """Effect of the prompt on the voice: similarity to the original speaker, prompted minus unprompted."""

    prompted: str
    unprompted: str
    difference: Estimate  # over the same utterances
    apart: bool  # whether the two systems' intervals are disjoint


def order_scores(scores: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Score files by test set, in the order of first mention, rows in the paper's order of groups."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        rows = sets.setdefault(Path(score["data_dir"]).name, [])
        if any(row["system"] == score["system"] for row in rows):
            raise InputError(
                f"two score files are called {score['system']!r} on {score['data_dir']}; "
                "give each row its own --system"
            )
        rows.append(score)
    return {name: sorted(rows, key=lambda row: GROUPS.index(row["group"])) for name, rows in sets.items()}


def lengths_present(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns that any row has, in the paper's order, all utterances last."""
    found = {length for row in rows for lengths in row["metrics"].values() for length in lengths}
    return [name for name in (*(name for name, _, _ in LENGTHS), ALL) if name in found]


def voice_gains(rows: Sequence[Mapping[str, Any]]) -> list[VoiceGain]:
    """Compare every prompted system with the unprompted one that was decoded in the same way."""
    gains = []
    for prompted in rows:
        twin = _unprompted_twin(prompted, rows)
        if twin is None or VOICE not in prompted["metrics"] or VOICE not in twin["metrics"]:
            continue
        similarities = [
            {utt_id: record[VOICE] for utt_id, record in row["utterances"].items() if VOICE in record}
            for row in (prompted, twin)
        ]
        if not set(similarities[0]) & set(similarities[1]):
            continue
        speakers = {utt: record.get("speaker") for utt, record in prompted["utterances"].items()}
        apart = prompted["metrics"][VOICE][ALL]["low"] > twin["metrics"][VOICE][ALL]["high"]
        difference = paired_difference(*similarities, speakers)
        gains.append(VoiceGain(prompted["system"], twin["system"], difference, apart))
    return gains


def _unprompted_twin(
    prompted: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    def key(row: Mapping[str, Any]) -> str:
        decode = row["decode"]
        same = [decode.get(name) for name in ("from", "kind", "acoustic_model", "text_to_semantic", "sampling")]
        return json.dumps(same, sort_keys=True)

    if prompted["group"] != WITH_PROMPT:
        return None
    return next((row for row in rows if row["group"] == WITHOUT_PROMPT and key(row) == key(prompted)), None)


def read_timing_table(path: Path | None) -> dict[str, float]:
    """Seconds of each stage from the engine's `timing.tsv`; an interrupted stage has several lines."""
    seconds: dict[str, float] = {}
    if path is None or not path.is_file():
        return seconds
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        stage, _, value = line.partition("\t")
        try:
            seconds[stage] = seconds.get(stage, 0.0) + float(value)
        except ValueError as error:
            raise InputError(f"{path}:{number}: expected '<stage>\\t<seconds>', got {line!r}") from error
    return seconds


def parse_running(text: str | None) -> tuple[str, float] | None:
    """`7=93` as stage 7 and 93 seconds."""
    if text is None:
        return None
    stage, _, value = text.partition("=")
    try:
        return stage, float(value)
    except ValueError as error:
        raise InputError(f"--running is {text!r}, expected <stage>=<seconds>, e.g. 7=93") from error


def describe_hardware() -> str:
    """Processor, number of cores and memory of this machine, without its name."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        memory = f", {gigabytes:.0f} GiB memory"
    except (OSError, ValueError):
        memory = ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {model}{memory}"


def run_facts(command: str, *, device: str = "cpu") -> dict[str, str]:
    """What every published figure states: command, commit, date and hardware.

    Args:
        command: That made it.
        device: Where networks worked; a GPU is named too, by its model if it is seen from here.
    """
    hardware = describe_hardware()
    if device.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device) if torch.cuda.is_available() else "a GPU"
        hardware = f"{name}, {hardware}"
    return {
        "command": f"`{command}`",
        "commit": source_commit(),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware,
    }


def decoded_on(scores: Sequence[Mapping[str, Any]]) -> str:
    """The kind of device that made the speech of score files: a GPU where it made any of it."""
    devices = [str(score["decode"].get("device")) for score in scores]
    return "cuda" if any(device.startswith("cuda") for device in devices) else "cpu"


def target_figures(
    rows: Sequence[Mapping[str, Any]],
    gains: Sequence[VoiceGain],
    usage: Sequence[Mapping[str, float]],
    seconds: Mapping[str, float],
) -> dict[tuple[str, str], float]:
    """Everything a target may name, for the first test set."""
    figures = {
        (metric.lower(), row["system"].lower()): lengths[ALL]["value"]
        for row in rows
        for metric, lengths in row["metrics"].items()
    }
    for gain in gains:  # a gain whose intervals touch is not clearly one
        figures["voice gain", gain.prompted.lower()] = gain.difference.low if gain.apart else 0.0
    if usage:
        figures["usage", "every codebook"] = min(level["usage"] for level in usage)
    if seconds:
        figures["seconds", "all stages"] = sum(seconds.values())
    return figures


def build_report(
    scores: Sequence[dict[str, Any]],
    *,
    title: str,
    targets: Sequence[str],
    usage: Sequence[Mapping[str, float]],
    seconds: Mapping[str, float],
    facts: Mapping[str, str],
    extras: Sequence[Mapping[str, Any]] = (),
    compared_with: Sequence[str] = (),
) -> dict[str, Any]:
    """Join everything into one JSON document.

    Args:
        scores: Contents of score files.
        title: Heading.
        targets: Of the recipe.
        usage: Of the codebooks, per level.
        seconds: Of each stage.
        facts: Commit, date, hardware, command.
        extras: Measurements beside the scores, see `soundstorm.scoring.extras`.
        compared_with: Systems that the others are compared with; none: there is no table of them side by side.
    """
    sets = order_scores(scores)
    gains = {name: voice_gains(rows) for name, rows in sets.items()}
    first, kinds = next(iter(sets)), kinds_of(scores)
    figures = target_figures(sets[first], gains[first], usage, seconds)
    results: list[TargetResult] = check_targets(targets, figures)
    return {
        "title": title,
        "facts": dict(facts),
        "targets": [asdict(result) for result in results],
        "seconds": dict(seconds),
        "codebooks": list(usage),
        "extras": list(extras),
        "sets": {
            name: {
                "lengths": lengths_present(rows),
                "voice_gains": [asdict(gain) for gain in gains[name]],
                "ratios": ratios_to_others(rows, kinds),
                "side_by_side": side_by_side(rows, compared_with) if compared_with else {},
                "rows": [{key: value for key, value in row.items() if key != "utterances"} for row in rows],
            }
            for name, rows in sets.items()
        },
    }


def inputs_digest(paths: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """Digest of score files and settings; a report with the same one is up to date."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
