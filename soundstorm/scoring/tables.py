"""The report as Markdown: the paper's Table 1, the same with intervals, targets and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from soundstorm.scoring.recognizers import CLOSED
from soundstorm.scoring.report_content import GROUPS
from soundstorm.scoring.side_by_side import is_word_errors
from soundstorm.scoring.statistics import ALL

# Metric, heading, decimals. The first five are the paper's columns, in the paper's order.
PAPER_COLUMNS = (
    ("wer", "WER %", 2),
    ("cer", "CER %", 2),
    ("dnsmos", "Audio quality (DNSMOS)", 2),
    ("voice_preservation", "Voice preservation", 2),
    ("acoustic_consistency", "Acoustic consistency", 2),
)
MORE_METRICS = {
    "wer_after_prompt": ("WER % after the prompt", 2),
    "voice_to_original": ("Similarity to the original prompt", 3),
    "dnsmos_signal": ("DNSMOS signal", 2),
    "dnsmos_background": ("DNSMOS background", 2),
    "dnsmos_p808": ("DNSMOS P.808", 2),
    "mel_distance": ("Mel distance", 3),
    "si_sdr": ("SI-SDR dB", 2),
    "stoi": ("STOI", 3),
}
RATIO_NOTE = (
    "On the same semantic tokens. Below 1 is better for error rates and computing, above 1 for the rest. "
    "Computing: seconds for acoustic tokens per second of speech, as stage 6 decoded, several utterances at "
    "a time; one at a time is measured by `--figures runtime`.\n"
)
FEW_SPEAKERS = 10  # drawn anew, fewer than this vary less than speakers do
# Settings without which figures of two rows are not comparable.
TOLD = ("recognizers", "vocabulary_text", "text_normalizer", "language", "speaker", "crop_seconds", "prompt_seconds")
LENGTH_NAMES = {"short": "4-10 s", "mid": "10-20 s", "long": "20-30 s", ALL: "all"}


def heading_of(metric: str) -> tuple[str, int]:
    """Heading and decimals of any metric; one with a suffix is a further recogniser's."""
    for name, heading, decimals in PAPER_COLUMNS:
        if metric == name:
            return heading, decimals
    if metric in MORE_METRICS:
        return MORE_METRICS[metric]
    for name in ("wer_after_prompt", "wer", "cer"):
        if metric.startswith(f"{name}_"):
            # A recogniser of the recipe's own is named by its directory, exp/<name>.
            other = metric[len(name) + 1 :]
            known = "closed vocabulary, " if other.startswith("closed_") else ""
            other = other.rpartition("exp_")[2].removeprefix("closed_")
            return f"{heading_of(name)[0]}, second opinion ({known}{other.replace('_', ' ')})", 2
    return metric.replace("_", " "), 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; everything but the first column is aligned right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def paper_table(rows: Sequence[Mapping[str, Any]], lengths: Sequence[str]) -> str:
    """Three groups of rows, five metrics, a value for each length in every cell; - where there is none.

    A metric of fewer utterances than the row says of how many.
    """
    columns = [column for column in PAPER_COLUMNS if any(column[0] in row["metrics"] for row in rows)]
    shown = " / ".join(LENGTH_NAMES[length] for length in lengths)
    header = [f"System ({shown})", "Utterances", *(heading for _, heading, _ in columns)]
    body = []
    for group in GROUPS:
        members = [row for row in rows if row["group"] == group]
        if members:
            body.append([f"*{_group_title(group)}*", *[""] * (len(header) - 1)])
        for row in members:
            cells = [_values(row, metric, lengths, decimals) for metric, _, decimals in columns]
            body.append([row["system"], str(row["num_utterances"]), *cells])
    return table(header, body)


def _group_title(group: str) -> str:
    return {"without prompt": "without speaker prompt", "with prompt": "with speaker prompt"}.get(
        group, group
    )


def _values(
    row: Mapping[str, Any], name: str, lengths: Sequence[str], decimals: int, *, plus_minus: bool = False
) -> str:
    metric, total = row["metrics"].get(name), row["num_utterances"]
    if metric is None:
        return f"- (0 of {total})" if name in row.get("left_out", {}) else "-"
    values = [f"{metric[length]['value']:.{decimals}f}" if length in metric else "-" for length in lengths]
    if plus_minus:
        values[-1] += f" ± {(metric[ALL]['high'] - metric[ALL]['low']) / 2:.{decimals}f}"
    count = metric[ALL]["count"]
    return " / ".join(values) + (f" ({count:g} of {total})" if count < total else "")


def interval(estimate: Mapping[str, float], decimals: int) -> str:
    """One cell: value, interval and count."""
    low, high = (f"{estimate[side]:.{decimals}f}" for side in ("low", "high"))
    return f"{estimate['value']:.{decimals}f} [{low}, {high}] ({estimate['count']})"


def detailed_tables(rows: Sequence[Mapping[str, Any]], lengths: Sequence[str]) -> Iterator[str]:
    """One table per metric: value [95 % interval] (utterances)."""
    names = [name for name, _, _ in PAPER_COLUMNS] + list(MORE_METRICS)
    found = {metric for row in rows for metric in row["metrics"]}
    for metric in [name for name in names if name in found] + sorted(found - set(names)):
        heading, decimals = heading_of(metric)
        body = [
            [row["system"]]
            + [
                interval(row["metrics"][metric][length], decimals)
                if length in row["metrics"][metric]
                else "-"
                for length in lengths
            ]
            for row in rows
            if metric in row["metrics"]
        ]
        yield table([heading, *(LENGTH_NAMES[length] for length in lengths)], body)


def runtime_table(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Real-time factor of each part of decoding: seconds of computing per second of speech."""
    timed = [row for row in rows if row.get("runtime")]
    parts = list(dict.fromkeys(part for row in timed for part in row["runtime"]))
    if not timed:
        return None
    parts = [part for part in parts if part != "total"] + ["total"] * ("total" in parts)
    cells = [
        [f"{row['runtime'][p]['real_time_factor']:.4f}" if p in row["runtime"] else "-" for p in parts]
        for row in timed
    ]
    return table(
        ["Real-time factor", *(part.replace("_", " ") for part in parts)],
        [[row["system"], *line] for row, line in zip(timed, cells)],
    )


def systems_table(rows: Sequence[Mapping[str, Any]], beside: Mapping[str, Mapping[str, Any]]) -> str:
    """Systems side by side: scores, differences of word errors, what training and decoding took, and a note.

    Args:
        rows: Score files of one test set.
        beside: Of `soundstorm.scoring.side_by_side` for each of them.
    """
    found = dict.fromkeys(name for row in rows for name in row["metrics"])
    errors = [name for name in found if is_word_errors(name)]
    others = [name for name in ("voice_to_original", "acoustic_consistency", "dnsmos") if name in found]
    header = ["System", *(part for name in errors for part in (heading_of(name)[0], "difference"))]
    header += [heading_of(name)[0] for name in others]
    header += ["Training, seconds × threads", "Real-time factor", "Passes"]
    body = []
    for row in rows:
        cells, more = [row["system"]], beside[row["system"]]
        for name in errors:
            cells += [_values(row, name, [ALL], 1, plus_minus=True), _signed(more["differences"].get(name))]
        cells += [_values(row, name, [ALL], 2, plus_minus=True) for name in others]
        cells.append(" + ".join(f"{seconds:.0f} × {threads}" for seconds, threads in more["trainings"]) or "-")
        runtime, passes = row.get("runtime", {}), row["decode"].get("passes")
        whole = runtime.get("total") or next(iter(runtime.values()), None)
        cells += [f"{whole['real_time_factor']:.3f}" if whole else "-", f"{passes:.0f}" if passes else "-"]
        body.append(cells)
    bases = dict.fromkeys(more["against"] for more in beside.values() if more["against"])
    note = (
        "±: half the width of the 95 % interval. "
        f"Differences: from {' or '.join(bases) or 'no system'}, whichever has the same source (semantic tokens, text) "
        "and prompt, each utterance against itself, with 95 % intervals. Training: of the networks that made the row's "
        "speech, tokenizers not counted. Real-time factor: seconds of computing per second of speech, as stage 6 "
        "decoded, several utterances at a time. Passes: forward passes behind the mean utterance, text to semantic "
        "tokens not counted; of AudioLM one for each token, of WaveNet one for each sample.\n"
    )
    return table(header, body) + "\n" + note


def _signed(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return ""
    return "{value:+.1f} [{low:+.1f}, {high:+.1f}]".format(**difference)


def ratios_table(ratios: Sequence[Mapping[str, Any]], lengths: Sequence[str]) -> str:
    """Each system's metrics and computing time as multiples of another model's."""
    names = [name for name, _, _ in PAPER_COLUMNS] + ["wer_after_prompt"]
    names = [name for name in names if any(name in pair["metrics"] for pair in ratios)]
    shown = " / ".join(LENGTH_NAMES[length] for length in lengths)
    body = []
    for pair in ratios:
        found = [pair["metrics"].get(name, {}) for name in names]
        cells = [
            " / ".join(f"{by[length]:.2f}" if length in by else "-" for length in lengths) for by in found
        ]
        computing = pair["computing"]
        time = (
            "-"
            if computing is None
            else f"{computing:.4f}" + (f" (1 : {1 / computing:.0f})" if computing else "")
        )
        body.append([f"{pair['system']} : {pair['baseline']}", *cells, time])
    return table([f"Ratio ({shown})", *(heading_of(name)[0] for name in names), "Computing, all"], body)


def targets_table(targets: Sequence[Mapping[str, Any]]) -> str:
    """Targets and measured values."""
    body = [
        [
            f"{target['figure']} of {target['subject']}",
            _wanted(target),
            "not measured" if target["value"] is None else f"{target['value']:.4g}",
            "yes" if target["met"] else "**no**",
        ]
        for target in targets
    ]
    return table(["Figure", "Wanted", "Measured", "Reached"], body)


def _wanted(target: Mapping[str, Any]) -> str:
    """The limit, and how it depends on another figure."""
    limit = "not measured" if target["limit"] is None else f"{target['sign']} {target['limit']:g}"
    return f"{limit} ({target['relative']})" if target.get("relative") else limit


def render_markdown(report: Mapping[str, Any]) -> str:
    """RESULTS.md."""
    parts = [f"# {report['title']}\n", _facts(report)]
    if report["targets"]:
        parts += ["## Targets\n", targets_table(report["targets"])]
    for name, content in report["sets"].items():
        rows, lengths = content["rows"], content["lengths"]
        parts.append(f"## Scores on `{name}`\n")
        if content["side_by_side"]:
            parts.append(systems_table(rows, content["side_by_side"]))
        parts += [paper_table(rows, lengths), _reading_notes(rows)]
        for gain in content["voice_gains"]:
            apart = "apart" if gain["apart"] else "NOT apart"
            parts.append(
                f"Voice of {gain['prompted']} minus {gain['unprompted']}, similarity to the original prompt: "
                f"{interval(gain['difference'], 3)}; their intervals are {apart}.\n"
            )
        if content["ratios"]:
            parts += [ratios_table(content["ratios"], lengths), RATIO_NOTE]
        runtime = runtime_table(rows)
        if runtime:
            parts.append(runtime)
        parts += ["### With 95 % intervals and counts\n", *detailed_tables(rows, lengths)]
    if report["codebooks"]:
        body = [[str(x["level"]), f"{x['usage']:.1f}", f"{x['perplexity']:.1f}"] for x in report["codebooks"]]
        parts += ["## Codebooks\n", table(["Level", "Used %", "Perplexity"], body)]
    return "\n".join(parts)


def _facts(report: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {value}" for name, value in report["facts"].items()]
    seconds = report["seconds"]
    if seconds:
        stages = ", ".join(f"stage {stage} {value:.0f} s" for stage, value in sorted(seconds.items()))
        lines.append(f"- wall time: {sum(seconds.values()):.0f} s ({stages})")
    return "\n".join(lines) + "\n"


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: settings.get(name) for name in TOLD} | {"recognizers": ", ".join(settings["recognizers"])}
    if not any(name.startswith(CLOSED) for name in settings["recognizers"]):
        told["vocabulary_text"] = None  # nobody reads with it
    return told


def _scored_otherwise(rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> list[str]:
    """Rows of other settings than these, with what differs."""
    found, usual = [], _told(settings)
    for row in rows:
        theirs = _told(row.get("settings") or settings)
        other = [f"{name} `{value}`" for name, value in theirs.items() if value != usual[name]]
        if other:
            found.append(f"{row['system']} ({', '.join(other)})")
    return found


def _reading_notes(rows: Sequence[Mapping[str, Any]]) -> str:
    settings = next((row["settings"] for row in rows if row.get("settings")), {})
    speakers = [row["num_speakers"] for row in rows if row.get("num_speakers")]
    drawn = "speakers and the utterances of each" if speakers else "utterances"
    notes = [
        f"Intervals: bootstrap over {drawn}, 95 %. A prompted row's WER is of the whole "
        "utterance, its prompt as the codec gives it back; voice preservation compares that prompt with the "
        "generated rest only."
    ]
    if speakers and min(speakers) < FEW_SPEAKERS:
        notes.append(f"With {min(speakers)} speakers only, intervals tend to be too narrow.")
    undrawn = [row["system"] for row in rows if not row.get("num_speakers")]
    if undrawn and speakers:
        notes.append(f"Intervals over utterances, not speakers: {', '.join(undrawn)}.")
    if settings:
        first, *more = settings["recognizers"] or ["none"]
        notes.append(
            f"Recogniser: `{first}`{''.join(f', second opinion `{name}`' for name in more)}; "
            f"speaker model: `{settings['speaker']}`; acoustic consistency: crops of "
            f"{settings['crop_seconds']:g} s against the first {settings['prompt_seconds']:g} s."
        )
        if settings.get("text_normalizer"):
            notes.append(
                "Before words are counted, texts are brought to one form by Whisper's English normaliser."
            )
        if first.startswith(CLOSED):
            notes.append(
                "**It reads with a closed vocabulary**: any sequence of words of "
                f"`{settings['vocabulary_text']}`, none more likely than another. That hides errors that make no "
                "other word of the list, so its rates are lower than those of free reading."
            )
        if others := _scored_otherwise(rows, settings):
            notes.append(f"**Scored otherwise, and not comparable in what depends on it**: {', '.join(others)}.")
    left_out = [
        f"{name} of {row['system']} ({len(utterances)} of {row['num_utterances']})"
        for row in rows
        for name, utterances in row.get("left_out", {}).items()
    ]
    if left_out:
        notes.append(f"Utterances left out, named with reasons in the score files: {', '.join(left_out)}.")
    missing = [f"{row['system']} ({row['num_missing']})" for row in rows if row.get("num_missing")]
    if missing:
        notes.append(f"Utterances that were not decoded: {', '.join(missing)}.")
    return " ".join(notes) + "\n"
