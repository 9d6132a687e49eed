"""Means of losses and figures over steps and processes, and where they are written."""

import json
import logging
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from soundstorm.data.data_dir import naming, write_text

logger = logging.getLogger(__name__)

Sums = dict[str, list[float | Tensor]]  # name -> [sum, count]; tensors of a device that nobody waits for yet


class Metrics:
    """Sums since the last line of ``metrics.jsonl``; lines go there and to TensorBoard."""

    def __init__(self, expdir: Path, accelerator: Accelerator):
        self.path, self.accelerator = expdir / "metrics.jsonl", accelerator
        self.sums: Sums = {}
        self._writer = None

    def add(self, name: str, total: Tensor | float, count: Tensor | float) -> None:
        """Add to a figure's sum and count."""
        kept = self.sums.setdefault(name, [0.0, 0.0])
        for place, value in enumerate((total, count)):
            far = isinstance(value, Tensor) and value.device.type != "cpu"
            kept[place] = kept[place] + (value.detach().double() if far else float(value))

    def add_common(self, name: str, value: float) -> None:
        """Add a figure of one step that all processes have alike."""
        if self.accelerator.is_main_process:
            self.add(name, value, 1.0)

    def merge(self) -> Sums:
        """Sums over all processes, which all must call; from then on they are the first one's."""
        self.sums = _on_host(self.sums)
        if self.accelerator.num_processes > 1:
            gathered = gather_object([self.sums])
            names = sorted({name for sums in gathered for name in sums})
            merged = {n: [sum(s.get(n, [0.0, 0.0])[i] for s in gathered) for i in (0, 1)] for n in names}
            self.sums = merged if self.accelerator.is_main_process else {}
            return merged
        return self.sums

    def averages(self) -> dict[str, float]:
        """Means over all processes since the last call; every process must call it."""
        merged, self.sums = self.merge(), {}
        return {name: merged[name][0] / merged[name][1] for name in sorted(merged) if merged[name][1]}

    def open(self, step: int) -> bool:
        """Start to write at a step, whose later lines (of a killed run) go. Whether it has been validated."""
        from torch.utils.tensorboard import SummaryWriter

        kept, validated = [], False
        for row in self.path.read_bytes().splitlines() if self.path.exists() else ():
            try:
                line = json.loads(row)
                if line["step"] <= step:
                    kept.append(row.decode() + "\n")
                    validated = validated or (line["step"], line["set"]) == (step, "valid")
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # the last line of a killed run may be cut
        if self.path.exists():
            write_text(self.path, "".join(kept))
        self._writer = SummaryWriter(str(self.path.with_name("tensorboard")), purge_step=step + 1)
        return validated

    def write(
        self, kind: str, values: dict[str, float], *, step: int, epoch: int, steps: int, pace: str = ""
    ) -> None:
        """One line of the set ``kind`` (train, valid); processes that have opened nothing write nothing.

        Args:
            kind: train or valid.
            values: the figures.
            step: steps done.
            epoch: whole epochs done.
            steps: of the whole training, for people.
            pace: for people.
        """
        if self._writer is None:
            return
        line = {"step": step, "epoch": epoch, "set": kind, **values}
        with naming(self.path), open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(f"{name}/{kind}", value, step)
        shown = " ".join(f"{n}={v:.4g}" for n, v in values.items() if "/" not in n and n != "learning_rate")
        logger.info("%s step %d/%d %s%s", kind, step, steps, shown, pace)

    def close(self) -> None:
        """Stop writing."""
        if self._writer is not None:
            self._writer.close()


def _on_host(sums: Sums) -> Sums:
    """The same as plain numbers; one wait for the device, however many there are."""
    far = [value for pair in sums.values() for value in pair if isinstance(value, Tensor)]
    found = iter(torch.stack(far).tolist() if far else ())
    return {n: [next(found) if isinstance(v, Tensor) else v for v in pair] for n, pair in sums.items()}
