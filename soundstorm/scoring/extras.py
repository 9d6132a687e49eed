"""Further measurements: a JSON file with its command, a section of RESULTS.md, some with a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.data.records import read_json
from soundstorm.scoring.alignments import alignments_section
from soundstorm.scoring.figures import alignments_figure, iterations_figure, losses_figure, runtime_curve_figure
from soundstorm.scoring.music_section import music_section, piano_rolls
from soundstorm.scoring.report_content import run_facts
from soundstorm.scoring.system import write_json
from soundstorm.scoring.tables import heading_of, interval, table

Extra = Mapping[str, Any]


def extra(kind: str, content: Extra, *, command: str, device: str = "cpu") -> dict[str, Any]:
    """A measurement with its facts: command, commit, date, hardware.

    Args:
        kind: One of `KINDS`.
        content: Values of that kind.
        command: Command line that measured.
        device: Where the networks ran.
    """
    return {"kind": kind, "facts": run_facts(command, device=device), **content}


def write_extra(path: str | Path, content: Extra) -> None:
    """Write the measurement and, where its kind has one, its figure beside it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _draw(content, path.with_suffix(".png"))
    write_json(path, content)  # last: a file that exists is complete


def publish_extra(kind: str, content: Extra, output: str | Path | None, *, command: str, device: str = "cpu") -> None:
    """Write a measurement where a file is named, and print its section; other arguments are those of :func:`extra`."""
    whole = extra(kind, content, command=command, device=device)
    if output:
        write_extra(output, whole)
    print(*extra_sections([whole]))


def read_extra(path: str | Path) -> dict[str, Any]:
    """Read a file of `write_extra` and check that it is one."""
    content = read_json(Path(path), "measure again")
    try:
        extra_sections([content])  # fails where a field is missing
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a measurement for the report, of kind {', '.join(KINDS)} ({error!r}); measure again"
        ) from error
    return content


def extra_sections(extras: Sequence[Extra]) -> list[str]:
    """Markdown of all measurements, those of a kind together."""
    unknown = {content["kind"] for content in extras} - set(KINDS)
    if unknown:
        raise InputError(f"no such kind of measurement: {sorted(unknown)}")
    sections = []
    for kind, (render, _) in KINDS.items():
        members = [content for content in extras if content["kind"] == kind]
        if members:
            sections.append(render(members))
    return sections


def extra_figures(extras: Sequence[Extra], folder: Path) -> dict[str, Path]:
    """Figures of all measurements that have one; title to file."""
    figures = {}
    for number, content in enumerate(extras):
        title = KINDS[content["kind"]][1]
        path = _draw(content, folder / f"{content['kind']}_{number}.png")
        if path is not None:
            figures[title + (f" on {Path(content['data_dir']).name}" if "data_dir" in content else "")] = path
    return figures


def _draw(content: Extra, path: Path) -> Path | None:
    if content["kind"] == "runtime":
        return runtime_curve_figure(content["points"], path)
    if content["kind"] == "iterations":
        return iterations_figure(content["points"], path)
    if content["kind"] == "alignments":
        return alignments_figure(content["drawn"], path)
    if content["kind"] == "music":
        return piano_rolls(content, path)
    if content["kind"] == "trainings":
        return losses_figure(content["trainings"], path)
    return None


def _facts_line(content: Extra) -> str:
    return "; ".join(f"{name}: {value}" for name, value in content["facts"].items()) + "\n"


def abx_section(content: Extra) -> str:
    """ABX errors of each representation and what was compared."""
    rows = [
        [name, result["distance"], *(_percent(result[task]) for task in ("within", "across"))]
        for name, result in content["results"].items()
    ]
    first = list(content["results"].values())[0]
    compared = [
        f"{task} speakers: {score['num_triples']} triples in {score['num_cells']} cells, "
        f"{score['num_phone_pairs']} ordered pairs of phones, {score['num_speakers']} speakers"
        for task in ("within", "across")
        if (score := first[task]) is not None
    ]
    context = "triphones" if first["context"] == "triphone" else "phones alone, whatever is beside them"
    lines = [
        f"## ABX on `{Path(content['data_dir']).name}`\n",
        table(["Representation", "Distance", "Within speakers %", "Across speakers %"], rows),
        f"Errors; 50 % is chance. Compared: {context}. {'; '.join(compared)}.\n",
        _facts_line(content),
    ]
    return "\n".join(lines)


def _percent(score: Mapping[str, float] | None) -> str:
    return "-" if score is None else f"{score['error']:.1f}"


def _abx_sections(extras: Sequence[Extra]) -> str:
    return "\n".join(abx_section(content) for content in extras)


def _alignments_sections(extras: Sequence[Extra]) -> str:
    return "\n".join(alignments_section(content["systems"], _facts_line(content)) for content in extras)


def detector_section(extras: Sequence[Extra]) -> str:
    """Accuracy of a classifier between each system's speech and the codec's round trip."""
    rows = [
        [
            content["system"],
            interval(content["accuracy"], 1),
            str(content["test_crops"]),
            str(content["train_crops"]),
        ]
        for content in extras
    ]
    header = ["System", "Accuracy % [95 %] (utterances)", "Crops tested", "Crops trained on"]
    note = (
        f"A classifier of {extras[0]['crop_seconds']:g} s crops, trained anew for each system: codec round "
        "trip of recordings against generated speech, as much of either; 50 % is chance. Training and test "
        "share neither utterances nor texts; voice prompts are cut off.\n"
    )
    return "\n".join(["## Synthesized-speech detector\n", table(header, rows), note, _facts_line(extras[0])])


def pairs_section(extras: Sequence[Extra]) -> str:
    """Accuracy of a semantic language model on pairs: the word, or the grammatical sentence, is likelier."""
    rows = [
        [f"`{content['pairs']}`", group, interval(estimate, 1), interval(content["total"][group], 1)]
        for content in extras
        for group, estimate in content["per_token"].items()
    ]
    models = ", ".join(dict.fromkeys(f"`{content['semantic']}`" for content in extras))
    note = (
        "A word and a non-word, or a grammatical sentence and one that is not, in one voice; 50 % is chance. "
        f"Compared: log likelihood by {models} (repeats of tokens removed, the end not counted). Voices of a "
        "pair are averaged first.\n"
    )
    header = ["Pairs", "Group", "Accuracy %, per token [95 %] (pairs)", "Accuracy %, not normalised"]
    title = "## Likelihood of pairs (sWUGGY, sBLIMP)\n"
    return "\n".join([title, table(header, rows), note, _facts_line(extras[0])])


def runtime_section(extras: Sequence[Extra]) -> str:
    """Run time over length: medians of every part, and speed-ups of the first acoustic model over others."""
    parts = []
    for content in extras:
        points = content["points"]
        by_length = {name: {point["seconds"]: point for point in line} for name, line in points.items()}
        lengths = sorted({seconds for line in by_length.values() for seconds in line})
        first, *others = [name for name in content.get("acoustic_models", ()) if name in by_length] or [None]
        header = ["Seconds of audio", *points, *(f"{other} : {first}" for other in others)]
        rows = []
        for seconds in lengths:
            row = [f"{seconds:g}", *(_median(line.get(seconds)) for line in by_length.values())]
            row += [_ratio(by_length[other].get(seconds), by_length[first].get(seconds)) for other in others]
            rows.append(row)
        repeats = sorted({point["repeats"] for line in points.values() for point in line})
        note = (
            f"Seconds of computing: batch 1, warm, synchronised, median (of {repeats[0]}"
            f"{f' to {repeats[-1]}' if len(repeats) > 1 else ''} runs); {content['threads']} threads, "
            f"device {content['device']}. Where a part ended by itself early, the seconds made stand "
            "beside.\n"
        )
        parts += ["## Run time against length\n", table(header, rows), note, _facts_line(content)]
    return "\n".join(parts)


def _median(point: Mapping[str, float] | None) -> str:
    if point is None:
        return "-"
    short = abs(point["made_seconds"] - point["seconds"]) > 0.05 * point["seconds"]
    return f"{point['median']:.3f}" + (f" ({point['made_seconds']:.1f} s made)" if short else "")


def _ratio(slow: Mapping[str, float] | None, fast: Mapping[str, float] | None) -> str:
    return "-" if slow is None or fast is None else f"{slow['median'] / fast['median']:.0f}"


def iterations_section(extras: Sequence[Extra]) -> str:
    """Word errors and quality against iterations of the first level."""
    parts = []
    for content in extras:
        points = content["points"]
        found = {metric for point in points for metric in point["metrics"]}
        names = [name for name in ("wer", "cer", "dnsmos") if name in found]
        rows = [
            [
                str(point["iterations"]),
                *(_cell(point["metrics"].get(name), heading_of(name)[1]) for name in names),
            ]
            for point in points
        ]
        parts += [
            f"## Iterations of the first level on `{Path(content['data_dir']).name}`\n",
            table(["Iterations", *(f"{heading_of(name)[0]} [95 %] (utterances)" for name in names)], rows),
            f"From ground-truth semantic tokens, prompt of {content['prompt_seconds']:g} s, one pass on each "
            f"finer level; recogniser `{content['recognizer']}`.\n",
            _facts_line(content),
        ]
    return "\n".join(parts)


def _cell(estimate: Mapping[str, float] | None, decimals: int) -> str:
    return "-" if estimate is None else interval(estimate, decimals)


def trainings_section(extras: Sequence[Extra]) -> str:
    """Losses and accuracies of every training at shares of its steps."""
    rows = []
    for training in (training for content in extras for training in content["trainings"]):
        sets = [training["figures"][kind] for kind in ("train", "valid")]
        names = dict.fromkeys(name for points in sets for point in points for name in point or ())
        for position, name in enumerate(name for name in names if name != "step"):
            cells = [
                # Some lines lack some levels: no token of them was masked.
                " / ".join(f"{point[name]:.4g}" if point and name in point else "-" for point in points)
                for points in zip(*sets, strict=True)
            ]
            title = [training["name"], str(training["settings"]["training"]["max_steps"])]
            rows.append([*(["", ""] if position else title), name, *cells])
    note = (
        "Training / validation, the latter with averaged weights, where metrics.jsonl has a line within 5 % of the "
        "steps. Levels are RVQ levels, 0 the coarsest. `--normal-losses` compares later trainings with such figures.\n"
    )
    header = ["Training", "Steps", "Figure", "10 %", "25 %", "50 %", "100 % of the steps"]
    return "\n".join([f"## {LOSSES_TITLE}\n", table(header, rows), note, _facts_line(extras[0])])


LOSSES_TITLE = "What loss is normal?"
# Kind -> its section of RESULTS.md, title of its figure.
KINDS = {
    "runtime": (runtime_section, "Run time against length"),
    "iterations": (iterations_section, "Iterations of the first level"),
    "detector": (detector_section, ""),
    "abx": (_abx_sections, ""),
    "pairs": (pairs_section, ""),
    "alignments": (_alignments_sections, "Alignments of text and speech"),
    "music": (music_section, "Piano rolls of the first utterance"),
    "trainings": (trainings_section, LOSSES_TITLE),  # last: its figure follows it
}
