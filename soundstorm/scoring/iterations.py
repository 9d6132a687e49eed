"""Word errors and quality against the number of iterations of the first level: the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soundstorm.scoring.assemble import ScoringJob, score_files
from soundstorm.scoring.score_file import read_score
from soundstorm.scoring.statistics import ALL

METRICS = ("wer", "cer", "dnsmos")


def score_iterations(decode_dirs: Mapping[int, Path], data_dir: str, **options) -> list[dict[str, Any]]:
    """Score the utterances decoded with each number of iterations, into files beside the decode directories.

    Args:
        decode_dirs: Iterations of the first level to decode directory.
        data_dir: Test set.
        **options: As of :func:`soundstorm.scoring.assemble.score_files`.

    Returns:
        A point for each number, in their order.
    """
    outputs = {count: folder.with_name(f"score_{count}.json") for count, folder in decode_dirs.items()}
    jobs = [
        ScoringJob(f"{count} iterations", data_dir, str(folder), str(outputs[count]))
        for count, folder in decode_dirs.items()
    ]
    score_files(jobs, **options)
    points = []
    for count in sorted(outputs):
        content = read_score(outputs[count])
        metrics = {name: content["metrics"][name][ALL] for name in METRICS if name in content["metrics"]}
        points.append({"iterations": count, "metrics": metrics, "runtime": content["runtime"]})
    return points
