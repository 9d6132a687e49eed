"""A monotonic pointer into the text, which advances letter by letter as the decoder writes frames.

The paper's decoder finds its place by attention alone, which takes far more training than a small recipe has.
With the
pointer, the letter and its duration so far are inputs, and whether to advance is an output, as in
    transducers: nothing can be
skipped or read twice, and the end comes after the last letter only. The path to learn from is the aligner's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.alignment import Aligner
from soundstorm.models.transformer import GatedFeedForward

LONGEST_DURATION = 63  # frames told apart


class Pointer(nn.Module):
    """The parts of a decoder that know the place in the text."""

    def __init__(self, text_vocab_size: int, num_tokens: int, dim: int):
        """
        Args:
            text_vocab_size: ids of the text.
            num_tokens: N, semantic tokens; the aligner also knows the end.
            dim: decoder width.
        """
        super().__init__()
        self.end_id = num_tokens
        self.aligner = Aligner(text_vocab_size, num_tokens + 1)
        self.read_before = nn.Linear(dim, dim, bias=False)
        self.dwell = nn.Embedding(LONGEST_DURATION + 1, dim)
        self.move = nn.Linear(dim, 1)
        self.read_now = nn.Linear(dim, dim, bias=False)
        self.joint_norm = nn.LayerNorm(dim, bias=False)
        self.joint = GatedFeedForward(dim, 2 * dim)
        self.norm = nn.LayerNorm(dim, bias=False)

    def align(
        self, text: Tensor, text_lengths: Tensor, tokens: Tensor, lengths: Tensor, *, prior: float
    ) -> tuple[Tensor, Tensor]:
        """Scores ``(B, T + 1, L)`` and path ``(B, T + 1)`` of tokens ``(B, T)`` and the end; see :class:`Aligner`."""
        tokens, lengths = F.pad(tokens, (0, 1)), lengths + 1
        tokens = tokens.scatter(1, lengths[:, None] - 1, self.end_id)
        return self.aligner.align(text, text_lengths, tokens, lengths, prior=prior)

    def input_condition(self, memory: Tensor, places: Tensor, durations: Tensor) -> Tensor:
        """What is added to each decoder input: places and durations so far ``(B, n)`` to ``(B, n, D)``."""
        return self.read_before(_at(memory, places)) + self.dwell(durations.clamp(max=LONGEST_DURATION))

    def advance_logits(self, hidden: Tensor) -> Tensor:
        """Decoder states ``(B, n, D)`` to logits of advancing to the next letter ``(B, n)``."""
        return self.move(hidden)[..., 0]

    def output_condition(self, hidden: Tensor, memory: Tensor, places: Tensor) -> Tensor:
        """Decoder states and the letters just chosen ``(B, n)`` to what the tokens are predicted from."""
        x = hidden + self.read_now(_at(memory, places))
        return self.norm(x + self.joint(self.joint_norm(x)))


def durations_so_far(path: Tensor) -> Tensor:
    """Frames spent at the place so far, this one included: ``(B, T)`` places to ``(B, T)`` counts from 1."""
    frames = torch.arange(path.shape[1], device=path.device)
    moved = path.diff(dim=1, prepend=path[:, :1]) != 0
    since = torch.where(moved, frames, 0).cummax(1).values
    return frames - since + 1


def _at(memory: Tensor, places: Tensor) -> Tensor:
    return memory.gather(1, places[..., None].expand(-1, -1, memory.shape[-1]))
