"""PNG figures of the report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soundstorm.data.data_dir import write_bytes
from soundstorm.scoring.statistics import ALL


def _plotting():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "figure.dpi": 120,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.axisbelow": True,
        }
    )
    return pyplot


def _save(figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    # Without date and version, so that the same scores give the same file.
    figure.savefig(content, format="png", bbox_inches="tight", metadata={"Software": None})
    write_bytes(path, content.getvalue())
    return path


def drift_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Acoustic consistency against time, with the middle half of the utterances, as the paper's Figure 2."""
    drawn = [row for row in rows if len(row.get("drift") or ()) > 1]
    if not drawn:
        return None
    pyplot = _plotting()
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for row in drawn:
        seconds = [point["seconds"] for point in row["drift"]]
        (line,) = axes.plot(
            seconds, [point["value"] for point in row["drift"]], marker="o", markersize=3, label=row["system"]
        )
        axes.fill_between(
            seconds,
            [point["quartile_low"] for point in row["drift"]],
            [point["quartile_high"] for point in row["drift"]],
            color=line.get_color(),
            alpha=0.08,
            linewidth=0,
        )
    axes.set(
        xlabel="start of the crop (s)",
        ylabel="cosine with the prompt",
        title="Acoustic consistency over time",
    )
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _close(pyplot, figure, path)


def runtime_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Real-time factor of each system, its parts end to end."""
    drawn = [row for row in rows if row.get("runtime")]
    parts = list(dict.fromkeys(part for row in drawn for part in row["runtime"] if part != "total"))
    if not drawn or not parts:
        return None
    pyplot = _plotting()
    figure, axes = pyplot.subplots(figsize=(6.4, 0.9 + 0.35 * len(drawn)))
    names = [row["system"] for row in drawn]
    starts = [0.0] * len(drawn)
    for part in parts:
        widths = [row["runtime"].get(part, {}).get("real_time_factor", 0.0) for row in drawn]
        axes.barh(names, widths, left=starts, height=0.6, label=part.replace("_", " "))
        starts = [start + width for start, width in zip(starts, widths)]
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="seconds of computing per second of speech", title="Real-time factor")
    axes.legend(fontsize=7, frameon=False)
    return _close(pyplot, figure, path)


def interval_figure(rows: Sequence[Mapping[str, Any]], metric: str, heading: str, path: Path) -> Path | None:
    """One metric of all systems with 95 % intervals."""
    drawn = [row for row in rows if metric in row["metrics"]]
    if not drawn:
        return None
    pyplot = _plotting()
    figure, axes = pyplot.subplots(figsize=(6.4, 0.9 + 0.3 * len(drawn)))
    for position, row in enumerate(drawn):
        estimate = row["metrics"][metric][ALL]
        errors = [[estimate["value"] - estimate["low"]], [estimate["high"] - estimate["value"]]]
        axes.errorbar(estimate["value"], position, xerr=errors, fmt="o", capsize=3, markersize=4, color="C0")
    axes.set_yticks(range(len(drawn)), [row["system"] for row in drawn])
    axes.invert_yaxis()
    axes.margins(y=0.1)
    axes.set(title=heading)
    return _close(pyplot, figure, path)


def codebook_figure(levels: Sequence[Mapping[str, float]], path: Path) -> Path | None:
    """Share of codes used and perplexity of each level."""
    if not levels:
        return None
    pyplot = _plotting()
    figure, axes = pyplot.subplots(figsize=(6.4, 2.8))
    numbers = [level["level"] for level in levels]
    axes.bar(numbers, [level["usage"] for level in levels], color="C0", alpha=0.7, label="codes used (%)")
    axes.set(xlabel="RVQ level", ylabel="codes used (%)", ylim=(0, 105), xticks=numbers, title="Codebooks")
    other = axes.twinx()
    other.plot(numbers, [level["perplexity"] for level in levels], "o-", color="C1")
    other.set(ylabel="perplexity", ylim=(0, None))
    other.grid(visible=False)
    return _close(pyplot, figure, path)


def runtime_curve_figure(points: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> Path:
    """Run time over length of audio, a line for each part with quartiles: the paper's Figure 3."""
    pyplot = _plotting()
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for part, line in points.items():
        seconds = [point["made_seconds"] for point in line]
        (drawn,) = axes.plot(seconds, [point["median"] for point in line], "o-", markersize=3, label=part)
        low, high = ([point[side] for point in line] for side in ("quartile_low", "quartile_high"))
        axes.fill_between(seconds, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    axes.set(
        xlabel="seconds of audio",
        ylabel="seconds of computing",
        yscale="log",
        title="Run time against length",
    )
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _close(pyplot, figure, path)


def iterations_figure(points: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Word errors and quality over iterations of the first level, 95 % intervals: the paper's Figure 4."""
    from soundstorm.scoring.tables import heading_of

    names = [name for name in ("wer", "dnsmos") if any(name in point["metrics"] for point in points)]
    pyplot = _plotting()
    figure, panels = pyplot.subplots(1, len(names), figsize=(3.4 * len(names), 3.0), squeeze=False)
    for name, axes in zip(names, panels[0]):
        drawn = [
            (point["iterations"], point["metrics"][name]) for point in points if name in point["metrics"]
        ]
        counts, values = [count for count, _ in drawn], [estimate["value"] for _, estimate in drawn]
        errors = [
            [estimate["value"] - estimate["low"] for _, estimate in drawn],
            [estimate["high"] - estimate["value"] for _, estimate in drawn],
        ]
        axes.errorbar(counts, values, yerr=errors, fmt="o-", capsize=3, markersize=4)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set(xlabel="iterations of the first level", title=heading_of(name)[0])
    figure.tight_layout()
    return _close(pyplot, figure, path)


def losses_figure(trainings: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Loss over steps of every training: a line for the training set, points for the validation set."""
    pyplot = _plotting()
    columns = min(len(trainings), 3)
    rows = -(-len(trainings) // columns)
    figure, panels = pyplot.subplots(rows, columns, figsize=(2.9 * columns, 2.1 * rows), squeeze=False)
    for axes in panels.flat[len(trainings) :]:
        axes.axis("off")
    for training, axes in zip(trainings, panels.flat):
        for kind, style in (("train", "-"), ("valid", "o")):
            steps, losses = zip(*training["curves"][kind]) if training["curves"][kind] else ((), ())
            axes.plot(steps, losses, style, markersize=4, label=kind)
        axes.set(title=training["name"])
    panels[0, 0].legend(fontsize=7, frameon=False)
    figure.supxlabel("steps", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    figure.tight_layout()
    return _close(pyplot, figure, path)


def piano_roll_figure(rolls: Mapping[str, Sequence[Sequence[float]]], prompt_seconds: float, path: Path) -> Path:
    """Notes (onset, offset, MIDI pitch) of one utterance by several systems; a line where the prompt ends."""
    pyplot = _plotting()
    options = {"figsize": (6.4, 1.3 * len(rolls)), "sharex": True, "sharey": True, "squeeze": False}
    figure, panels = pyplot.subplots(len(rolls), 1, **options)
    for (title, notes), axes in zip(rolls.items(), panels[:, 0]):
        for onset, offset, pitch in notes:
            axes.barh(pitch, offset - onset, left=onset, height=0.9, color="C0")
        axes.axvline(prompt_seconds, color="C3", linewidth=1)
        axes.set_title(title, fontsize=8, loc="left")
    figure.supylabel("MIDI pitch", fontsize=9)
    panels[-1, 0].set_xlabel("seconds")
    figure.tight_layout()
    return _close(pyplot, figure, path)


def _close(pyplot, figure, path: Path) -> Path:
    try:
        return _save(figure, path)
    finally:
        pyplot.close(figure)


def report_figures(report: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """All figures that the report has the numbers for; title to file."""
    from soundstorm.scoring.tables import heading_of

    figures = {}
    for name, content in report["sets"].items():
        rows = content["rows"]
        for metric in ("wer", "voice_to_original"):
            heading = heading_of(metric)[0]
            path = folder / f"{name}_{metric}.png"
            figures[f"{heading} on {name}"] = interval_figure(rows, metric, heading, path)
        figures[f"Acoustic consistency over time on {name}"] = drift_figure(
            rows, folder / f"{name}_drift.png"
        )
        figures[f"Real-time factor on {name}"] = runtime_figure(rows, folder / f"{name}_runtime.png")
    figures["Codebooks"] = codebook_figure(report["codebooks"], folder / "codebooks.png")
    return {title: path for title, path in figures.items() if path is not None}


def alignments_figure(drawn: Mapping[str, Sequence[Sequence[float]]], path: Path) -> Path | None:
    """Attention of some utterances: characters upwards, steps of the decoder to the right."""
    if not drawn:
        return None
    pyplot = _plotting()
    figure, places = pyplot.subplots(1, len(drawn), figsize=(2.6 * len(drawn), 2.6), squeeze=False)
    for axes, (title, alignment) in zip(places[0], drawn.items(), strict=True):
        columns = [list(column) for column in zip(*alignment, strict=True)]  # (characters, steps)
        axes.imshow(columns, aspect="auto", origin="lower", cmap="viridis", interpolation="nearest", vmin=0, vmax=1)
        axes.set_title(title, fontsize=7)
        axes.grid(False)
    places[0][0].set_xlabel("step")
    places[0][0].set_ylabel("character")
    figure.tight_layout()
    return _close(pyplot, figure, path)
