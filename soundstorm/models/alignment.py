"""Which letter belongs to which frame: learned without any alignment, from texts and their tokens alone.

The aligner scores every letter against every frame; the likelihood of all monotonic paths through these scores is its
training criterion, the best path its answer ("One TTS alignment to rule them all", Badlani et al., 2021).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLANK_SCORE = -1.0  # of "no letter in particular", against scores that start near zero


class Neighbours(nn.Module):
    """A residual convolution over positions, written as one matrix product (fast in bfloat16 on CPUs too)."""

    def __init__(self, dim: int, width: int = 5):
        super().__init__()
        self.width = width
        self.norm = nn.LayerNorm(dim, bias=False)
        self.mix = nn.Linear(width * dim, dim)

    def forward(self, x: Tensor, exists: Tensor) -> Tensor:
        """``x`` ``(B, L, D)``; ``exists`` ``(B, L)``: padding counts as zeros, as beyond the ends."""
        padded = F.pad(self.norm(x) * exists[..., None], (0, 0, self.width // 2, self.width // 2))
        windows = torch.cat([padded[:, i : i + x.shape[1]] for i in range(self.width)], dim=-1)
        return x + F.gelu(self.mix(windows))


class Aligner(nn.Module):
    """Compares letters with frames, each seen with a few neighbours on both sides."""

    def __init__(self, text_vocab_size: int, num_tokens: int, dim: int = 96):
        super().__init__()
        self.letters = nn.Embedding(text_vocab_size, dim)
        self.tokens = nn.Embedding(num_tokens, dim)
        self.letter_mixers = nn.ModuleList([Neighbours(dim)])
        self.token_mixers = nn.ModuleList([Neighbours(dim)])
        self.letter_norm, self.token_norm = nn.LayerNorm(dim, bias=False), nn.LayerNorm(dim, bias=False)
        self.letter_key, self.token_query = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)

    def forward(self, text: Tensor, text_exists: Tensor, tokens: Tensor, token_exists: Tensor) -> Tensor:
        """Ids ``(B, L)`` and tokens ``(B, T)`` to scores ``(B, T, L)``, minus infinity at padded letters."""
        letters, frames = self.letters(text), self.tokens(tokens)
        for mixer in self.letter_mixers:
            letters = mixer(letters, text_exists)
        for mixer in self.token_mixers:
            frames = mixer(frames, token_exists)
        keys, queries = self.letter_key(self.letter_norm(letters)), self.token_query(self.token_norm(frames))
        scores = (queries @ keys.transpose(1, 2)).float() / math.sqrt(keys.shape[-1])
        return scores.masked_fill(~text_exists[:, None], float("-inf"))


def diagonal_prior(
    frames: int, letters: int, lengths: Tensor, text_lengths: Tensor, *, width: float
) -> Tensor:
    """Log of a Gaussian around an even pace, up to a constant: ``(B, frames, letters)``.

    Args:
        frames, letters: padded sizes; lengths, text_lengths: true ones ``(B,)``.
        width: standard deviation as a share of the text.
    """
    along = torch.arange(frames, device=lengths.device) / lengths[:, None]
    place = torch.arange(letters, device=lengths.device) / text_lengths[:, None]
    return -((along[:, :, None] - place[:, None]) ** 2) / (2 * width**2)


def alignment_loss(scores: Tensor, lengths: Tensor, text_lengths: Tensor, *, prior: float) -> Tensor:
    """How unlikely the scores make it to pass through the text in order, leaving no letter out.

    The likelihood of all monotonic paths, by the forward algorithm of CTC with the letters' places as the labels. On
    the cross-attention of an encoder-decoder it does what Neekhara et al. (2024) do.

    Args:
        scores: before the softmax ``(B, heads, T, L)``, minus infinity at padding.
        lengths: frames ``(B,)``; text_lengths: letters ``(B,)``.
        prior: width of the :func:`diagonal_prior` that favours paths at an even pace; 0 for none.

    Returns:
        ``(B, heads)``: minus the log likelihood; 0 where there are fewer frames than letters.
    """
    batch, heads, frames, letters = scores.shape
    scores = scores.float()
    if prior:
        scores = scores + diagonal_prior(frames, letters, lengths, text_lengths, width=prior)[:, None]
    # A finite floor at padding: CTC's gradient of minus infinity is not a number.
    scores = F.pad(scores.clamp(min=-1e4), (1, 0), value=BLANK_SCORE)
    log_probs = scores.log_softmax(-1).flatten(0, 1).transpose(0, 1)
    labels = torch.arange(1, letters + 1, device=scores.device).expand(batch * heads, -1)
    per_head = F.ctc_loss(
        log_probs, labels, lengths.repeat_interleave(heads), text_lengths.repeat_interleave(heads),
        blank=0, reduction="none", zero_infinity=True,
    )  # fmt: skip
    return per_head.view(batch, heads)


@torch.no_grad()
def monotonic_path(
    scores: Tensor, lengths: Tensor, text_lengths: Tensor, *, open_end: bool = False
) -> Tensor:
    """The best path that starts at the first letter and stays or goes one letter on with each frame (Viterbi).

    Args:
        scores: ``(B, T, L)``, higher is better.
        lengths: frames ``(B,)``; text_lengths: letters ``(B,)``.
        open_end: let the path end anywhere: the frames are only the beginning of the text. Otherwise it ends at the
            last letter; where there are fewer frames than letters, at the last one it can reach.

    Returns:
        Places in the text ``(B, T)``; padded frames repeat the last place.
    """
    batch, frames, letters = scores.shape
    scores = scores.float().cpu().clamp(min=-1e4)
    lengths, text_lengths = lengths.cpu(), text_lengths.cpu()
    best = torch.full((batch, letters + 1), -1e9)  # column 0 stands before the text
    best[:, 1] = scores[:, 0, 0]
    moved = torch.zeros(batch, frames, letters, dtype=torch.bool)
    totals = [best]
    for frame in range(1, frames):
        stay, go = best[:, 1:], best[:, :-1]
        moved[:, frame] = go > stay
        best = F.pad(torch.maximum(stay, go) + scores[:, frame], (1, 0), value=-1e9)
        totals.append(best)
    rows = torch.arange(batch)
    last = torch.minimum(text_lengths, lengths) - 1
    if open_end:
        ends = torch.stack(totals, dim=1)[rows, lengths - 1, 1:]
        ends = ends.masked_fill(torch.arange(letters) >= text_lengths[:, None], float("-inf"))
        last = ends.argmax(-1)
    path = torch.empty(batch, frames, dtype=torch.int64)
    place = last
    for frame in range(frames - 1, -1, -1):
        path[:, frame] = place
        back = moved[rows, frame, place] & (frame < lengths)
        place = place - back.long()
    return path
