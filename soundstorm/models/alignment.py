"""Unsupervised monotonic alignment of letters and frames, from texts and their tokens alone.

The aligner gives the probability of each token under each letter. It is trained on the likelihood of all
monotonic paths, and the best path is the alignment, as in "One TTS alignment to rule them all" (Badlani et
al., 2021), there for spectra.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalConvolution(nn.Module):
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
    """Probability of each semantic token under each letter, in the context of its neighbours.

    As semantic tokens are discrete, this and the monotonic paths are a hidden Markov model with one state per
    letter.
    """

    def __init__(self, text_vocab_size: int, num_tokens: int, dim: int = 128):
        super().__init__()
        self.letters = nn.Embedding(text_vocab_size, dim)
        self.mixers = nn.ModuleList([LocalConvolution(dim), LocalConvolution(dim)])
        self.norm = nn.LayerNorm(dim, bias=False)
        self.emit = nn.Linear(dim, num_tokens)
        # All letters alike at first: the first path is then the prior's, an even pace (a flat start).
        nn.init.zeros_(self.emit.weight)
        nn.init.zeros_(self.emit.bias)

    def forward(self, text: Tensor, exists: Tensor, tokens: Tensor) -> Tensor:
        """Ids and their mask ``(B, L)``, tokens ``(B, T)`` to log probabilities ``(B, T, L)``."""
        x = self.letters(text)
        for mixer in self.mixers:
            x = mixer(x, exists)
        emissions = self.emit(self.norm(x)).float().log_softmax(-1).transpose(1, 2)
        scores = emissions.gather(1, tokens[..., None].expand(-1, -1, text.shape[1]))
        return scores.masked_fill(~exists[:, None], float("-inf"))

    def align(
        self,
        text: Tensor,
        text_lengths: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        *,
        prior: float = 0.0,
        open_end: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Scores ``(B, T, L)`` and letters ``(B, T)`` of tokens ``(B, T)``.

        Args:
            text: ids ``(B, L)``; text_lengths: ``(B,)``; tokens: ``(B, T)``; lengths: ``(B,)``.
            prior: width of the :func:`diagonal_prior`; 0 for none.
            open_end: the tokens may be of the text's beginning only.
        """
        exists = torch.arange(text.shape[1], device=text.device) < text_lengths[:, None]
        scores = self(text, exists, tokens)
        best = scores.detach()
        if prior:
            best = best + diagonal_prior(tokens.shape[1], text.shape[1], lengths, text_lengths, width=prior)
        return scores, monotonic_path(best, lengths, text_lengths, open_end=open_end).to(text.device)


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


def emission_loss(scores: Tensor, lengths: Tensor, text_lengths: Tensor, *, prior: float) -> Tensor:
    """Minus the log likelihood of the tokens, summed over all monotonic paths that skip no letter.

    Its gradient is that of Baum and Welch: minus the posterior of each letter at each frame. torch's CTC is
    fast, but its gradient assumes that the scores of a frame are normalised, which these are not (they are
    over tokens, not over letters); so the posterior is recovered from that gradient.

    Args:
        scores: log probabilities ``(B, T, L)``, minus infinity at padding; lengths, text_lengths: ``(B,)``.
        prior: width of the :func:`diagonal_prior` that favours paths at an even pace; 0 for none.

    Returns:
        ``(B,)``; 0 where there are fewer frames than letters.
    """
    frames, letters = scores.shape[1:]
    # A finite floor at padding: CTC's gradient of minus infinity is not a number.
    scores = scores.clamp(min=-1e4)
    weighted = scores.detach()
    if prior:
        weighted = weighted + diagonal_prior(frames, letters, lengths, text_lengths, width=prior)
    with torch.enable_grad():  # validation wants the value too
        leaf = F.pad(weighted, (1, 0), value=-1e4).transpose(0, 1).contiguous().requires_grad_()
        labels = torch.arange(1, letters + 1, device=scores.device).expand(len(scores), -1)
        value = F.ctc_loss(leaf, labels, lengths, text_lengths, blank=0, reduction="none", zero_infinity=True)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    posterior = (leaf.detach().exp() - gradient)[..., 1:].transpose(0, 1)
    counted = (torch.arange(frames, device=scores.device) < lengths[:, None]) & (lengths >= text_lengths)[
        :, None
    ]
    slope = -(posterior * scores * counted[..., None]).sum((1, 2))
    return value.detach() + slope - slope.detach()


@torch.no_grad()
def monotonic_path(
    scores: Tensor, lengths: Tensor, text_lengths: Tensor, *, open_end: bool = False
) -> Tensor:
    """Viterbi path that starts at the first letter and stays or advances one letter at each frame.

    Args:
        scores: ``(B, T, L)``, higher is better.
        lengths: frames ``(B,)``; text_lengths: letters ``(B,)``.
        open_end: let the path end anywhere: the frames are only the beginning of the text. Otherwise it ends
            at the last letter; where there are fewer frames than letters, at the last one it can reach.

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
