"""Continuation of rows of tokens by one of AudioLM's language models, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.audiolm_layout import Layout, Row
from soundstorm.decoding.sampling import choose
from soundstorm.models.audiolm import AudioLM, Columns
from soundstorm.models.devices import fast_products


@dataclass(frozen=True)
class RowTask:
    """A row to continue, how many frames, and the random numbers for them."""

    row: Row
    frames: int  # new ones, at most where rows can end by themselves
    uniforms: Tensor  # in [0, 1), (frames * levels,): one for each token

    def columns(self, layout: Layout) -> int:
        """Length of the finished row."""
        return len(self.row.ids) + self.frames * layout.num_levels


@dataclass
class Continuation:
    """New codes ``(T, levels)``, and whether the model generated the end itself."""

    codes: np.ndarray
    ended: bool


@fast_products()
@torch.inference_mode()
def continue_rows(
    model: AudioLM, layout: Layout, tasks: Sequence[RowTask], *, temperature: float
) -> list[Continuation]:
    """Continue a batch of rows of different lengths, with a key-value cache.

    Every row has its own random numbers, so it does not depend on the rest of the batch.

    Args:
        model: in evaluation mode.
        layout: its vocabularies.
        tasks: what to continue.
        temperature: divides the logits; 0 is greedy.
    """
    device = model.embed.weight.device
    levels, count = layout.num_levels, len(tasks)
    limits = torch.tensor([task.frames * levels for task in tasks])
    numbers = torch.zeros(count, int(limits.max()))
    for row, task in enumerate(tasks):
        numbers[row, : len(task.uniforms)] = task.uniforms
    written = torch.zeros(count, int(limits.max()), dtype=torch.long)
    lengths, ended = limits.clone(), torch.zeros(count, dtype=torch.bool)
    first = torch.tensor([int(task.row.due[-1]) for task in tasks])  # the frame that comes next in each row
    rows, running = torch.arange(count), torch.ones(count, dtype=torch.bool)  # of the rows still in the batch
    columns = _left_padded([task.row for task in tasks], device)
    states, state = model.begin(columns)
    for place in range(int(limits.max())):
        level = place % levels
        logits = model.level_logits(states[:, -1], level).float().cpu()
        if layout.ends and place == 0:
            logits[:, -1] = float("-inf")  # at least one frame
        token = choose(logits, numbers[rows, place], temperature=temperature, top_k=0)
        over = running & (token == layout.level_size)
        lengths[rows[over]], ended[rows[over]] = place, True
        token = token.clamp(max=layout.level_size - 1)
        written[rows, place] = token
        running &= ~over & (place + 1 < limits[rows])
        if not running.any():
            break
        if running.sum() * 2 <= len(rows):  # finished rows cost as much as running ones
            kept = running.nonzero()[:, 0]
            rows, token, running = rows[kept], token[kept], running[kept]
            state.keep(kept.to(device))
        columns = Columns(
            ids=(layout.condition_size + level * layout.level_size + token)[:, None].to(device),
            times=(first[rows] + place // levels)[:, None].to(device),
            due=(first[rows] + (place + 1) // levels)[:, None].to(device),
            condition=torch.zeros(len(rows), 1, dtype=torch.bool, device=device),
        )
        states = model.advance(columns, state)
    return [
        Continuation(written[row, : lengths[row]].reshape(-1, levels).numpy().copy(), bool(ended[row]))
        for row in range(count)
    ]


def _left_padded(rows: Sequence[Row], device: torch.device) -> Columns:
    longest = max(len(row.ids) for row in rows)

    def pad(name: str) -> Tensor:
        arrays = [getattr(row, name) for row in rows]
        return torch.from_numpy(np.stack([np.pad(a, (longest - len(a), 0)) for a in arrays])).to(device)

    place = torch.arange(longest)
    exists = torch.stack([place >= longest - len(row.ids) for row in rows]).to(device)
    return Columns(pad("ids"), pad("times"), pad("due"), pad("condition"), exists)
