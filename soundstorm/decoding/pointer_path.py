"""Monotonic alignment by the pointer of a text-to-semantic model during sampling."""

from collections.abc import Sequence

import torch
from torch import Tensor

from soundstorm.models.pointer import durations_so_far
from soundstorm.models.text_to_semantic import TextToSemantic


class PointerPath:
    """Text positions of a batch, frame by frame.

    The model gives the probability of advancing to the next letter at each frame. Sampling draws, on arrival
    at a letter, the survival probability at which the pointer advances; greedy advances at one half, the
    median duration. (Advancing when that is the likelier alternative would never end a letter of uncertain
    duration.)
    """

    def __init__(
        self,
        model: TextToSemantic,
        text_lengths: Tensor,
        uniforms: Tensor,
        temperature: float,
        forced: Tensor,
    ):
        """
        Args:
            model: with a pointer.
            text_lengths: letters ``(B,)``.
            uniforms: numbers in [0, 1) ``(B, T)``.
            temperature: 0 for greedy, 1 for the model's own distribution; more is taken as 1.
            forced: places of prompt frames ``(B, T)``, negative after the prompt.
        """
        self.pointer = model.pointer
        self.last = text_lengths - 1
        self.threshold = 0.5 + min(temperature, 1.0) * (1.0 - uniforms - 0.5)
        self.forced = forced
        batch, frames = uniforms.shape
        # Column k holds the place before frame k, and the frames spent there.
        self.places = torch.zeros(batch, frames + 1, dtype=torch.int64)
        self.durations = torch.zeros(batch, frames + 1, dtype=torch.int64)
        if frames:
            self.places[:, 1:] = forced.clamp(min=0)
            self.durations[:, 1:] = durations_so_far(self.places[:, 1:])
        self.survival = torch.ones(batch)
        self.current_threshold = self.threshold[:, 0].clone() if frames else torch.zeros(batch)

    def inputs(self, rows: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Places and durations ``(rows, n)`` as inputs of frames ``first`` to ``last``."""
        return self.places[rows, first : last + 1], self.durations[rows, first : last + 1]

    def advance(self, rows: Tensor, frame: int, hidden: Tensor) -> Tensor:
        """Choose the places ``(rows,)`` of a frame from the decoder's states there ``(rows, 1, D)``."""
        place, duration = self.places[rows, frame], self.durations[rows, frame]
        if frame:
            probability = self.pointer.advance_logits(hidden)[:, 0].float().sigmoid().cpu()
            free = place < self.last[rows]
            self.survival[rows] *= torch.where(free, 1.0 - probability, 1.0)
            move = (self.survival[rows] < self.current_threshold[rows]) & free
        else:
            move = torch.zeros(len(rows), dtype=torch.bool)
        forced = self.forced[rows, frame]
        move = torch.where(forced >= 0, forced != place, move)
        place = torch.where(forced >= 0, forced, place + move)
        self.places[rows, frame + 1] = place
        self.durations[rows, frame + 1] = torch.where(move, 1, duration + 1)
        fresh = rows[move | (forced >= 0)]
        self.survival[fresh], self.current_threshold[fresh] = 1.0, self.threshold[fresh, frame]
        return place

    def ends(self, rows: Tensor, frame: int, probability: Tensor) -> Tensor:
        """Rows that end at a frame, bool ``(rows,)``; ``probability``: to advance off the last letter."""
        arrived = self.places[rows, frame + 1] == self.last[rows]
        self.survival[rows] *= torch.where(arrived, 1.0 - probability, 1.0)
        return arrived & (self.survival[rows] < self.current_threshold[rows])


def prompt_places(
    model: TextToSemantic,
    text: Tensor,
    text_lengths: Tensor,
    forced: Tensor,
    prompt_ids: Sequence[int] | None = None,
) -> Tensor:
    """Alignment of the prompts' frames.

    Args:
        model: with a pointer.
        text: ids ``(B, L)``; text_lengths: ``(B,)``.
        forced: prompt tokens ``(B, T)``, negative after the prompt.
        prompt_ids: how many ids of each text are the prompt's own words, at the last of which it ends; None where
            nobody knows, and it may end anywhere.

    Returns:
        Places in the text ``(B, T)``, negative after the prompt.
    """
    places = torch.full_like(forced, -1)
    lengths = (forced >= 0).sum(1)
    rows = lengths.nonzero()[:, 0]
    if prompt_ids is not None:
        text_lengths = torch.tensor(list(prompt_ids))
    if len(rows):
        width = int(lengths.max())
        device = text.device
        _, path = model.pointer.aligner.align(
            text[rows.to(device)], text_lengths[rows].to(device),
            forced[rows, :width].clamp(min=0).to(device), lengths[rows].to(device), open_end=prompt_ids is None,
        )  # fmt: skip
        inside = torch.arange(width) < lengths[rows, None]
        places[rows, :width] = torch.where(inside, path.cpu(), -1)
    return places
