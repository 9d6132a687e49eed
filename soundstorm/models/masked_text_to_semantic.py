"""Text to semantic tokens in parallel: SoundStorm's network and masks with one level, on letters stretched to frames.

Not the paper's, whose text-to-semantic model writes one frame after the other. Which letter a frame is of comes
from an aligner that is trained along, as the pointer's (``alignment.py``); what decodes predicts the durations.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from soundstorm.models.alignment import Aligner, LocalConvolution
from soundstorm.models.pointer import LONGEST_DURATION, durations_so_far
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.text_to_semantic import build_text_encoder
from soundstorm.models.text_to_semantic_config import MaskedTextToSemanticConfig


@dataclass
class MaskedTextToSemanticOutput:
    """Of a training batch."""

    logits: Tensor  # of the M tokens to predict (M, N)
    right: Tensor  # these tokens (M,)
    scores: Tensor  # of the aligner (B, T, L)
    durations: Tensor  # frames of each letter, by its path (B, L); 0 where it has none
    duration_logits: Tensor  # of 1, 2, ... frames (B, L, LONGEST_DURATION)


class DurationPredictor(nn.Module):
    """A distribution over the frames of each letter, from the letters around it."""

    def __init__(self, dim: int, layers: int):
        super().__init__()
        self.convolutions = nn.ModuleList(LocalConvolution(dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, bias=False)
        self.head = nn.Linear(dim, LONGEST_DURATION)

    def forward(self, states: Tensor, exists: Tensor) -> Tensor:
        """States ``(B, L, D)`` of letters that exist ``(B, L)`` to logits of 1, 2, ... frames ``(B, L, K)``."""
        for convolution in self.convolutions:
            states = convolution(states, exists)
        return self.head(self.norm(states))


class MaskedTextToSemantic(nn.Module):
    """Text and some semantic tokens in, all semantic tokens out.

    Letters are the text's ids, also where these are pieces of words.
    """

    def __init__(
        self, encoder: nn.Module, network: SoundStorm, *, text_vocab_size: int, width: int, duration_layers: int
    ):
        """
        Args:
            encoder: from ids and existence ``(B, L)`` to ``(B, L, encoder.dim)``.
            network: of one level, without semantic tokens of its own.
            text_vocab_size: ids of the text.
            width: D of the network.
            duration_layers: convolutions that predict durations.
        """
        super().__init__()
        self.encoder, self.network = encoder, network
        self.bridge = nn.Linear(encoder.dim, width, bias=False)
        self.aligner = Aligner(text_vocab_size, network.codebook_size)
        self.duration = DurationPredictor(width, duration_layers)
        # Where in its letter a frame is, from both ends.
        self.since = nn.Embedding(LONGEST_DURATION + 1, width)
        self.left = nn.Embedding(LONGEST_DURATION + 1, width)
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        hidden: Tensor,
        target: Tensor,
        *,
        prior: float,
    ) -> MaskedTextToSemanticOutput:
        """What a training batch is told by.

        Args:
            text: ids ``(B, L)``; text_lengths: ``(B,)``.
            tokens: ``(B, T)``; lengths: ``(B,)``.
            hidden, target: bool ``(B, T, 1)``, tokens that are not seen and tokens to predict.
            prior: width of the diagonal prior of the path; 0 for none.
        """
        states, exists = self.read(text, text_lengths)
        scores, path = self.aligner.align(text, text_lengths, tokens, lengths, prior=prior)
        durations = letter_durations(path, lengths, text.shape[1])
        # How long a letter lasts is learned from what is read, but does not change what is.
        duration_logits = self.duration(states.detach(), exists)
        frames = self.condition(states, path, lengths)
        ((_, logits, right, _),) = self.network(frames, tokens[..., None], hidden, target, lengths)
        return MaskedTextToSemanticOutput(logits, right, scores, durations, duration_logits)

    def read(self, text: Tensor, text_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States of padded ids ``(B, L, D)``, and which of them exist ``(B, L)``."""
        exists = torch.arange(text.shape[1], device=text.device) < text_lengths[:, None]
        return self.bridge(self.encoder(text, exists)), exists

    def condition(self, states: Tensor, path: Tensor, lengths: Tensor) -> Tensor:
        """What the network is told of each frame ``(B, T, D)``: its letter, and where in that it is.

        Args:
            states: of letters ``(B, L, D)``.
            path: letter of each frame ``(B, T)``.
            lengths: frames ``(B,)``; padding repeats the last letter and is none of its duration.
        """
        since = durations_so_far(path)
        durations = letter_durations(path, lengths, states.shape[1])
        left = (durations.gather(1, path) - since).clamp(0, LONGEST_DURATION)
        letters = states.gather(1, path[..., None].expand(-1, -1, states.shape[-1]))
        return self.norm(letters + self.since(since.clamp(max=LONGEST_DURATION)) + self.left(left))


def letter_durations(path: Tensor, lengths: Tensor, letters: int) -> Tensor:
    """Frames of each letter ``(B, L)`` on a path ``(B, T)``, of which ``lengths (B,)`` count."""
    counted = torch.arange(path.shape[1], device=path.device) < lengths[:, None]
    durations = torch.zeros(path.shape[0], letters, dtype=torch.int64, device=path.device)
    return durations.scatter_add(1, path, counted.long())


def build_masked_text_to_semantic(
    config: MaskedTextToSemanticConfig,
    *,
    text_vocab_size: int,
    num_tokens: int,
    encoder_dir: str | Path | None = None,
) -> MaskedTextToSemantic:
    """The model of a configuration; arguments are those of ``build_text_to_semantic``."""
    encoder = build_text_encoder(config, text_vocab_size=text_vocab_size, encoder_dir=encoder_dir)
    network = SoundStorm(config.network, num_levels=1, codebook_size=num_tokens, semantic_size=0)
    return MaskedTextToSemantic(
        encoder, network, text_vocab_size=text_vocab_size, width=config.width,
        duration_layers=config.duration_layers,
    )  # fmt: skip
