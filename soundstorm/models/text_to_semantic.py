"""Text to semantic tokens: the encoder-decoder of SPEAR-TTS's first stage, as SoundStorm section 5 uses it."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.text_to_semantic_config import SCRATCH, TextToSemanticConfig
from soundstorm.models.transformer import DecoderBlock, EncoderBlock, KeyValues, sinusoids


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


class ScratchEncoder(nn.Module):
    """A text encoder trained with the decoder: embedding, convolutions, Transformer blocks."""

    def __init__(self, vocab_size: int, *, layers: int, dim: int, heads: int, head_dim: int, ffn_dim: int,
                 convolutions: int, dropout: float):  # fmt: skip
        super().__init__()
        self.dim = dim
        self.embed = nn.Embedding(vocab_size, dim)
        self.convolutions = nn.ModuleList(Neighbours(dim) for _ in range(convolutions))
        self.blocks = nn.ModuleList(EncoderBlock(dim, heads, head_dim, ffn_dim, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text: Tensor, exists: Tensor) -> Tensor:
        """Ids ``(B, L)`` and which of them exist ``(B, L)`` to states ``(B, L, D)``."""
        x = self.dropout(self.embed(text))
        for convolution in self.convolutions:
            x = convolution(x, exists)
        for block in self.blocks:
            x = block(x, exists[:, None, None])
        return self.norm(x)


class T5Encoder(nn.Module):
    """A published T5 or ByT5 encoder behind the same call; frozen, it stays in evaluation mode."""

    def __init__(self, network: nn.Module, *, frozen: bool):
        super().__init__()
        self.network = network
        self.dim = network.config.d_model
        self.frozen = frozen
        if frozen:
            self.network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "T5Encoder":
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def forward(self, text: Tensor, exists: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.network(input_ids=text, attention_mask=exists.long()).last_hidden_state


@dataclass
class Memory:
    """Encoded text: ``states`` ``(B, L, D)``, ``exists`` ``(B, L)``."""

    states: Tensor
    exists: Tensor


@dataclass
class DecoderState:
    """What decoding carries from frame to frame, per decoder block; ``mask`` ``(B, 1, 1, L)``."""

    texts: list[KeyValues]
    past: list[KeyValues]
    mask: Tensor

    def keep(self, rows: Tensor) -> None:
        """Forget all batch items but ``rows`` (indices)."""
        for part in (*self.texts, *self.past):
            part.keep(rows)
        self.mask = self.mask[rows]


@dataclass
class TextToSemanticOutput:
    """``logits`` ``(B, T, N + 1)``, the last class being the end; ``scores`` ``(B, layers, T, L)`` before softmax."""

    logits: Tensor
    scores: Tensor


class TextToSemantic(nn.Module):
    """Reads text, writes semantic tokens one frame at a time.

    Decoder inputs are ``0 .. N-1`` for tokens, ``N`` for the start, ``N + 1`` for a hidden token;
    decoder outputs are ``0 .. N-1`` for tokens and ``N`` for the end.
    """

    def __init__(self, encoder: nn.Module, num_tokens: int, *, layers: int, dim: int, heads: int, head_dim: int,
                 ffn_dim: int, dropout: float):  # fmt: skip
        """
        Args:
            encoder: from ids and existence ``(B, L)`` to ``(B, L, encoder.dim)``.
            num_tokens: N, semantic tokens.
            layers, dim, heads, head_dim, ffn_dim, dropout: of the decoder.
        """
        super().__init__()
        self.num_tokens = self.start_id = self.end_id = num_tokens
        self.hidden_id = num_tokens + 1
        self.encoder = encoder
        self.bridge = nn.Identity() if encoder.dim == dim else nn.Linear(encoder.dim, dim, bias=False)
        # The encoder knows distances only; where in the text a letter stands tells repeated words apart.
        self.position_scale = nn.Parameter(torch.ones(()))
        self.embed = nn.Embedding(num_tokens + 2, dim)
        self.blocks = nn.ModuleList(DecoderBlock(dim, heads, head_dim, ffn_dim, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, bias=False)
        self.head = nn.Linear(dim, num_tokens + 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def encode(self, text: Tensor, text_lengths: Tensor) -> Memory:
        """Padded ids ``(B, L)`` and their lengths ``(B,)`` to the memory that the decoder reads."""
        exists = torch.arange(text.shape[1], device=text.device) < text_lengths[:, None]
        states = self.bridge(self.encoder(text, exists))
        places = sinusoids(text.shape[1], states.shape[-1], text.device)
        return Memory(states + (self.position_scale * places).to(states.dtype), exists)

    def forward(self, text: Tensor, text_lengths: Tensor, inputs: Tensor) -> TextToSemanticOutput:
        """Teacher forcing.

        Args:
            text: ids ``(B, L)``; text_lengths: ``(B,)``.
            inputs: true tokens ``(B, T)``, negative where hidden; padding may hold anything valid.

        Returns:
            Predictions of ``T + 1`` positions: every token from those before it, and the end.
        """
        start = inputs.new_full((inputs.shape[0], 1), self.start_id)
        given = torch.cat([start, torch.where(inputs < 0, self.hidden_id, inputs)], dim=1)
        return self.advance(given, self.begin(self.encode(text, text_lengths), caching=False))

    def begin(self, memory: Memory, *, caching: bool = True) -> DecoderState:
        """The state before the first frame; without caching it serves one call of :meth:`advance`."""
        attentions = [block.self_attention for block in self.blocks]
        batch = memory.states.shape[0]
        past = [attention.empty_cache(batch, memory.states) for attention in attentions] if caching else []
        texts = [block.cross_attention.read(memory.states) for block in self.blocks]
        return DecoderState(texts, past, memory.exists[:, None, None])

    def advance(self, given: Tensor, state: DecoderState) -> TextToSemanticOutput:
        """Feed the next inputs ``(B, n)`` (start, tokens, hidden); predictions for the position after each."""
        x = self.dropout(self.embed(given))
        scores = []
        for index, block in enumerate(self.blocks):
            cache = state.past[index] if state.past else None
            x, score = block(x, state.texts[index], mask=state.mask, cache=cache)
            scores.append(score)
        stacked = torch.stack(scores, dim=1).masked_fill(~state.mask, float("-inf"))
        return TextToSemanticOutput(self.head(self.norm(x)), stacked)


def build_text_to_semantic(
    config: TextToSemanticConfig, *, text_vocab_size: int, num_tokens: int, encoder_dir: str | Path | None = None
) -> TextToSemantic:
    """The model of a configuration.

    Args:
        config: the ``model:`` section.
        text_vocab_size: ids of the text tokenizer.
        num_tokens: N, semantic tokens.
        encoder_dir: a directory with a T5 ``config.json``: build the published encoder's shape from there and leave
            its weights to the checkpoint, which has them.
    """
    if config.encoder == SCRATCH:
        encoder: nn.Module = ScratchEncoder(
            text_vocab_size, layers=config.encoder_layers, dim=config.encoder_dim, heads=config.encoder_heads,
            head_dim=config.head_dim, ffn_dim=config.encoder_ffn_dim, convolutions=config.encoder_convolutions,
            dropout=config.dropout,
        )  # fmt: skip
    else:
        encoder = T5Encoder(_t5_network(config.encoder, encoder_dir), frozen=config.freeze_encoder)
        if encoder.network.config.vocab_size < text_vocab_size:
            raise ValueError(
                f"the text has {text_vocab_size} ids, the encoder {config.encoder} only "
                f"{encoder.network.config.vocab_size}; use text.tokenizer bytes with ByT5, and a T5's own "
                "spiece.model as text.sentencepiece_model with T5"
            )
    return TextToSemantic(
        encoder, num_tokens, layers=config.decoder_layers, dim=config.decoder_dim, heads=config.decoder_heads,
        head_dim=config.head_dim, ffn_dim=config.decoder_ffn_dim, dropout=config.dropout,
    )  # fmt: skip


def _t5_network(name: str, encoder_dir: str | Path | None) -> nn.Module:
    from transformers import T5Config, T5EncoderModel

    if encoder_dir is not None:
        return T5EncoderModel(T5Config.from_pretrained(str(encoder_dir)))
    try:
        return T5EncoderModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"cannot load the text encoder {name!r}: expected a T5 or ByT5 on the hub or in a local directory "
            f"({str(error).splitlines()[0]:.150})"
        ) from error
