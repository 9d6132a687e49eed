"""The codecs behind RESULTS_groups.md: round trip and codebooks of each, from the reports of stage 7."""

from __future__ import annotations

import argparse
from pathlib import Path

from soundstorm.data.records import read_json
from soundstorm.scoring.tables import table

MEASURES = {"wer": ("WER %", 1), "stoi": ("STOI", 3), "mel_distance": ("Mel distance", 3)}
CODEC = "Codec round trip"


def row(name: str, reports: list[dict], test_set: str) -> list[str]:
    """Means over the seeds, each seed's in brackets; usage and perplexity of every codebook."""
    cells = [f"`{name}`"]
    for measure, (_, decimals) in MEASURES.items():
        values = [_round_trip(report, test_set)[measure]["all"]["value"] for report in reports]
        each = ", ".join(f"{value:.{decimals}f}" for value in values)
        cells.append(f"{sum(values) / len(values):.{decimals}f} ({each})")
    for measure in ("usage", "perplexity"):
        by_level = zip(*([level[measure] for level in report["codebooks"]] for report in reports))
        cells.append(" / ".join(f"{sum(values) / len(values):.0f}" for values in by_level))
    return cells


def _round_trip(report: dict, test_set: str) -> dict:
    (found,) = [row for row in report["sets"][test_set]["rows"] if row["system"] == CODEC]
    return found["metrics"]


def render(names: list[str], reports: list[list[dict]], sets: list[str]) -> str:
    """A table in Markdown for each test set."""
    header = ["", *(title for title, _ in MEASURES.values()), "Codes used, % per codebook", "Perplexity per codebook"]
    parts = []
    for test_set in sets:
        rows = [row(name, of_seeds, test_set) for name, of_seeds in zip(names, reports, strict=True)]
        parts.append(f"\nThe codecs' round trip of {test_set}, mean (each seed):\n\n{table(header, rows)}")
    return "".join(parts)


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", required=True, nargs="+", help="their names")
    parser.add_argument("--reports", required=True, nargs="+", help="report directory of each, {seed} for its seeds")
    parser.add_argument("--sets", required=True, nargs="+", help="test sets")
    parser.add_argument("--seeds", required=True, nargs="+", help="of training")
    args = parser.parse_args()
    paths = [[Path(name.replace("{seed}", seed)) for seed in args.seeds] for name in args.reports]
    remedy = "run stage 7 again"
    reports = [[read_json(path / "report.json", remedy) for path in of_seeds] for of_seeds in paths]
    print(render(args.variants, reports, args.sets), end="")


if __name__ == "__main__":
    main()
