"""Semantic tokens to text, for back-translation: texts for speech that has none (SPEAR-TTS).

SPEAR-TTS has an encoder-decoder here, which goes on from its pre-training. Ours is an encoder with a CTC
output, as
letters come in the order of the frames: it learns from minutes of transcribed speech, and skips or repeats
    nothing.
"""

import torch
from torch import Tensor, nn

from soundstorm.models.recognizer import OUTPUT_SCALE
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig
from soundstorm.models.text_to_semantic import ScratchEncoder

BLANK = 0  # the text tokenizers' padding, which no text has


class SemanticToText(nn.Module):
    """One letter, or none, for every frame."""

    def __init__(self, config: SemanticToTextConfig, *, num_tokens: int, text_vocab_size: int):
        """
        Args:
            config: sizes.
            num_tokens: N, semantic tokens.
            text_vocab_size: ids of the text tokenizer.
        """
        super().__init__()
        self.encoder = ScratchEncoder(
            num_tokens, layers=config.layers, dim=config.dim, heads=config.heads, head_dim=config.head_dim,
            ffn_dim=config.ffn_dim, convolutions=config.convolutions, dropout=config.dropout,
        )  # fmt: skip
        self.head = nn.Linear(config.dim, text_vocab_size)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Tokens ``(B, T)``, lengths ``(B,)`` to logits of text ids ``(B, T, V)``; the first is no letter."""
        exists = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        return self.head(self.encoder(tokens, exists)) * OUTPUT_SCALE
