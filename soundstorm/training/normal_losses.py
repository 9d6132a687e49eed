"""What loss is normal: figures of a recipe's trainings at shares of their steps, and whether another is far.

Stage 7 writes them for its report and, where there is none yet, into the recipe's file of normal losses, with
which later trainings compare themselves (``training.normal_losses``).
"""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soundstorm.data.data_dir import write_text
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import has_config, is_finished, read_config
from soundstorm.data.records import read_json

logger = logging.getLogger(__name__)

SHARES = (0.1, 0.25, 0.5, 1.0)  # of the steps
NEAR = 0.05  # a line of metrics.jsonl stands for a share that it is no farther from, in shares
CURVE_POINTS = 50
# Sections of config.yaml that decide what a loss means: figures of others are not compared.
ALIKE = ("kind", "audiolm", "model", "semantic_to_text", "denoising", "loss", "masking", "augment", "crops")
# Sections that a warning names where they differ.
NAMED = ("training", "data", "init", "semantic", "acoustic", "labels")
CAUSES = {
    "above": "a learning rate or batch that does not fit, data that are too few or wrong (texts, rates), "
    "tokens of another codec or k-means; gradient_norm in metrics.jsonl shows since when",
    "below": "tokens of few values (usage of the codebooks, stage 2), validation on what is trained on, "
    "fewer data, learned by heart; or a better setting, if what it makes reads better too",
}


def read_training(expdir: str | Path, name: str) -> dict[str, Any] | None:
    """Settings, figures at :data:`SHARES` and curve of a training; None where there is no finished one.

    Args:
        expdir: experiment directory.
        name: what the training is called.

    Returns:
        ``settings`` by section; ``figures`` of the sets train and valid, one for each share: ``step`` with
        loss and accuracies, or None where no line is near; ``curves``: pairs of step and loss.
    """
    path = Path(expdir) / "metrics.jsonl"
    if not (path.is_file() and has_config(expdir) and is_finished(expdir)):
        return None
    settings = {key: value for key, value in read_config(expdir).items() if key in ALIKE + NAMED}
    record: dict[str, Any] = {"name": name, "settings": settings, "figures": {}, "curves": {}}
    try:
        steps = settings["training"]["max_steps"]
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for kind in ("train", "valid"):
            found = [_figures(line) for line in lines if line["set"] == kind]
            found = [line for line in found if math.isfinite(line.get("loss", math.inf))]
            record["figures"][kind] = [_nearest(found, share * steps, NEAR * steps) for share in SHARES]
            thinned = found[:: -(-len(found) // CURVE_POINTS) or 1]
            record["curves"][kind] = [[line["step"], line["loss"]] for line in thinned]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        remedy = "leave this training out, or train it again"
        raise InputError(f"{path}: not the figures of a training ({error!r:.200}); {remedy}") from error
    return record


def _figures(line: dict[str, Any]) -> dict[str, float]:
    chosen = {name: value for name, value in line.items() if name == "loss" or "accuracy" in name}
    return {"step": line["step"], **{name: float(f"{value:.4g}") for name, value in chosen.items()}}


def _nearest(lines: Sequence[dict], step: float, most: float) -> dict[str, float] | None:
    near = [line for line in lines if abs(line["step"] - step) <= most]
    # Of two the later one: a line of training is of the steps before it.
    return min(near, key=lambda line: (abs(line["step"] - step), -line["step"]), default=None)


def write_normal(path: str | Path, trainings: Sequence[dict[str, Any]]) -> None:
    """Write the file that later trainings compare themselves with, a line for each training."""
    kept = [{key: value for key, value in training.items() if key != "curves"} for training in trainings]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, '{"trainings": [\n' + ",\n".join(json.dumps(training) for training in kept) + "\n]}\n")


def read_normal(path: str | Path | None, expdir: str | Path) -> dict[str, Any] | None:
    """The recorded training with the model, loss and number of steps of this one; None where there is none.

    Raises:
        ValueError: the file is not one of :func:`write_normal`.
    """
    if not path or not Path(path).exists() or not has_config(expdir):
        return None
    remedy, config = "remove it, and stage 7 writes it again", read_config(expdir)
    content = read_json(path, remedy)
    try:
        for training in content["trainings"]:
            settings = training["settings"]
            _limits(training)  # fails where a field is missing
            same_steps = settings["training"]["max_steps"] == config["training"]["max_steps"]
            # A HuBERT's loss depends on what made its labels: MFCC, or an earlier iteration.
            same_labels = _labels(settings) == _labels(config)
            if same_steps and same_labels and all(settings.get(name) == config.get(name) for name in ALIKE):
                return {**training, "differences": list(_differences(settings, config))}
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not a file of normal losses ({error!r}); {remedy}") from error
    return None


def _labels(settings: dict[str, Any]) -> str | None:
    return (settings.get("labels") or {}).get("name")


def _limits(training: dict[str, Any]) -> dict[tuple[str, int], tuple[float, float]]:
    """Set and step to the recorded loss and how far from it is far."""
    points = {
        (kind, point["step"]): point["loss"]
        for kind in ("train", "valid")
        for point in training["figures"][kind]
        if point
    }
    # A third of all that is learned after the first point; other seeds differ by a tenth of that or less.
    fall = max(points.values(), default=0.0) - min(points.values(), default=0.0)
    return {point: (loss, max(fall / 3, abs(loss) / 20)) for point, loss in points.items()}


def warn_if_far(normal: dict[str, Any], kind: str, step: int, loss: float, expdir: str | Path) -> None:
    """Say so where the loss is far from the recorded one of this step, which few steps have."""
    recorded, margin = _limits(normal).get((kind, step), (loss, math.inf))
    if abs(loss - recorded) <= margin or margin == math.inf:
        return
    side = "below" if loss < recorded else "above"
    differences = "; ".join(normal["differences"][:5]) or "none"
    logger.warning(
        "not normal: %s: loss of set %s at step %d is %.4g, far %s the %.4g that was recorded. "
        "Usual causes: %s. Settings that differ from the recorded ones: %s",
        expdir, kind, step, loss, side, recorded, CAUSES[side], differences,
    )  # fmt: skip


def _differences(old: dict[str, Any], new: dict[str, Any]):
    for section in NAMED:
        values, now = old.get(section) or {}, new.get(section) or {}
        for name in values:
            if name in now and now[name] != values[name] and name not in ("fingerprint", "normal_losses"):
                yield f"{section}.{name} is {now[name]!r}, was {values[name]!r}"
