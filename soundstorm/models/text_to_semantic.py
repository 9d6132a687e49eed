"""Text to semantic tokens: the first stage of SPEAR-TTS, as SoundStorm's dialogue synthesis uses it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.alignment import LocalConvolution
from soundstorm.models.hub import model_directory
from soundstorm.models.pointer import Pointer, durations_so_far
from soundstorm.models.text_to_semantic_config import OWN_IDS, SCRATCH, TextEncoderConfig, TextToSemanticConfig
from soundstorm.models.transformer import DecoderBlock, KeyValues, SelfBlock, sinusoids


class ScratchEncoder(nn.Module):
    """A text encoder trained with the decoder: embedding, convolutions, Transformer blocks."""

    def __init__(self, vocab_size: int, *, layers: int, dim: int, heads: int, head_dim: int, ffn_dim: int,
                 convolutions: int, dropout: float):  # fmt: skip
        super().__init__()
        self.dim = dim
        self.embed = nn.Embedding(vocab_size, dim)
        self.convolutions = nn.ModuleList(LocalConvolution(dim) for _ in range(convolutions))
        self.blocks = nn.ModuleList(SelfBlock(dim, heads, head_dim, ffn_dim, dropout) for _ in range(layers))
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
        """Set the mode, of a network that is not frozen."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def forward(self, text: Tensor, exists: Tensor) -> Tensor:
        """Ids and which exist ``(B, L)`` to ``(B, L, dim)``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.network(input_ids=text, attention_mask=exists.long()).last_hidden_state


@dataclass
class DecoderState:
    """What decoding carries from frame to frame: the text, and keys and values of each decoder block."""

    memory: Tensor  # encoded text (B, L, D)
    exists: Tensor | None  # (B, L), None where no text is padded
    texts: list[KeyValues]
    past: list[KeyValues]

    def keep(self, rows: Tensor) -> None:
        """Forget all batch items but ``rows`` (indices)."""
        self.memory = self.memory[rows]
        if self.exists is not None:
            self.exists = self.exists[rows]
        for part in (*self.texts, *self.past):
            part.keep(rows)


@dataclass
class TextToSemanticOutput:
    """Teacher-forced predictions of ``T`` tokens and the end."""

    logits: Tensor  # (B, T + 1, N + 1), the last class being the end
    scores: Tensor | None = None  # with a pointer: of the aligner, letters against frames (B, T + 1, L)
    path: Tensor | None = None  # with a pointer: the letter of each frame (B, T + 1)
    moves: Tensor | None = None  # with a pointer: logits of advancing to the next letter (B, T + 1)


class TextToSemantic(nn.Module):
    """Reads text, writes semantic tokens one frame at a time.

    Decoder inputs are ``0 .. N-1`` for tokens, ``N`` for the start, ``N + 1`` for a hidden token;
    decoder outputs are ``0 .. N-1`` for tokens and ``N`` for the end.
    """

    def __init__(self, encoder: nn.Module, num_tokens: int, *, layers: int, dim: int, heads: int,
                 head_dim: int, ffn_dim: int, dropout: float, pointer: Pointer | None = None):  # fmt: skip
        """
        Args:
            encoder: from ids and existence ``(B, L)`` to ``(B, L, encoder.dim)``.
            num_tokens: N, semantic tokens.
            layers, dim, heads, head_dim, ffn_dim, dropout: of the decoder.
            pointer: keeps the place in the text; without it the decoder finds it by attention alone, as in
                the paper.
        """
        super().__init__()
        self.num_tokens = self.start_id = self.end_id = num_tokens
        self.hidden_id = num_tokens + 1
        self.encoder = encoder
        self.pointer = pointer
        self.bridge = nn.Identity() if encoder.dim == dim else nn.Linear(encoder.dim, dim, bias=False)
        # The encoder knows distances only; where in the text a letter stands tells repeated words apart.
        # Of one dimension, as FSDP cannot shard weights without any.
        self.position_scale = nn.Parameter(torch.ones(1))
        self.embed = nn.Embedding(num_tokens + 2, dim)
        self.blocks = nn.ModuleList(
            DecoderBlock(dim, heads, head_dim, ffn_dim, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim, bias=False)
        self.head = nn.Linear(dim, num_tokens + 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        inputs: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        *,
        prior: float = 0.0,
    ) -> TextToSemanticOutput:
        """Teacher forcing.

        Args:
            text: ids ``(B, L)``; text_lengths: ``(B,)``.
            inputs: previous tokens as the decoder sees them ``(B, T)``, negative where hidden.
            tokens: the true ones ``(B, T)``, which only the pointer's aligner looks at; lengths: ``(B,)``.
            prior: width of the diagonal prior of the pointer's path; 0 for none.
        """
        start = inputs.new_full((inputs.shape[0], 1), self.start_id)
        given = torch.cat([start, torch.where(inputs < 0, self.hidden_id, inputs)], dim=1)
        state = self.begin(text, text_lengths, caching=False)
        if self.pointer is None:
            return TextToSemanticOutput(self.emit(self.advance(given, state), state))
        scores, path = self.pointer.align(text, text_lengths, tokens, lengths, prior=prior)
        # A frame's inputs are the place of the frame before and the duration there so far.
        before = torch.cat([path[:, :1], path[:, :-1]], dim=1)
        spent = torch.cat([torch.zeros_like(path[:, :1]), durations_so_far(path)[:, :-1]], dim=1)
        hidden = self.advance(given, state, places=before, durations=spent)
        moves = self.pointer.advance_logits(hidden)
        return TextToSemanticOutput(self.emit(hidden, state, places=path), scores, path, moves)

    def begin(
        self, text: Tensor, text_lengths: Tensor, *, caching: bool = True, padded: bool = True
    ) -> DecoderState:
        """Read padded ids ``(B, L)``; the state before the first frame.

        Without caching it serves one call of :meth:`advance`. ``padded`` tells whether any text is.
        """
        exists = torch.arange(text.shape[1], device=text.device) < text_lengths[:, None]
        states = self.bridge(self.encoder(text, exists))
        places = sinusoids(text.shape[1], states.shape[-1], text.device)
        states = states + (self.position_scale * places).to(states.dtype)
        attentions = [block.self_attention for block in self.blocks]
        past = [attention.empty_cache(len(text), states) for attention in attentions] if caching else []
        texts = [block.cross_attention.read(states) for block in self.blocks]
        return DecoderState(states, exists if padded else None, texts, past)

    def advance(
        self,
        given: Tensor,
        state: DecoderState,
        *,
        places: Tensor | None = None,
        durations: Tensor | None = None,
    ) -> Tensor:
        """Feed the next inputs ``(B, n)`` (start, tokens, hidden), with a pointer its ``places`` and
        ``durations`` too; decoder states ``(B, n, D)``.
        """
        x = self.embed(given)
        if self.pointer is not None:
            x = x + self.pointer.input_condition(state.memory, places, durations)
        x = self.dropout(x)
        mask = None if state.exists is None else state.exists[:, None, None]
        for index, block in enumerate(self.blocks):
            cache = state.past[index] if state.past else None
            x = block(x, state.texts[index], mask=mask, cache=cache)
        return self.norm(x)

    def emit(self, hidden: Tensor, state: DecoderState, *, places: Tensor | None = None) -> Tensor:
        """Decoder states ``(B, n, D)``, with a pointer the new ``places``, to logits ``(B, n, N + 1)``."""
        if self.pointer is not None:
            hidden = self.pointer.output_condition(hidden, state.memory, places)
        return self.head(hidden)


def build_text_to_semantic(
    config: TextToSemanticConfig,
    *,
    text_vocab_size: int,
    num_tokens: int,
    encoder_dir: str | Path | None = None,
) -> TextToSemantic:
    """The model of a configuration.

    Args:
        config: the ``model:`` section.
        text_vocab_size: ids of the text tokenizer.
        num_tokens: N, semantic tokens.
        encoder_dir: a directory with a T5 ``config.json``: build the published encoder's shape from there and
            leave its weights to the checkpoint, which has them.
    """
    encoder = build_text_encoder(config, text_vocab_size=text_vocab_size, encoder_dir=encoder_dir)
    return TextToSemantic(
        encoder, num_tokens, layers=config.decoder_layers, dim=config.decoder_dim, heads=config.decoder_heads,
        head_dim=config.head_dim, ffn_dim=config.decoder_ffn_dim, dropout=config.dropout,
        pointer=Pointer(text_vocab_size, num_tokens, config.decoder_dim) if config.pointer else None,
    )  # fmt: skip


def build_text_encoder(
    config: TextEncoderConfig, *, text_vocab_size: int, encoder_dir: str | Path | None = None
) -> nn.Module:
    """What reads the text of a model; arguments are those of :func:`build_text_to_semantic`."""
    if config.encoder == SCRATCH:
        return ScratchEncoder(
            text_vocab_size, layers=config.encoder_layers, dim=config.encoder_dim, heads=config.encoder_heads,
            head_dim=config.head_dim, ffn_dim=config.encoder_ffn_dim,
            convolutions=config.encoder_convolutions, dropout=config.dropout,
        )  # fmt: skip
    encoder = T5Encoder(_t5_network(config.encoder, encoder_dir), frozen=config.freeze_encoder)
    known = encoder.network.config.vocab_size
    one_has_bytes = (known == ByteTokenizer.vocab_size) != (text_vocab_size == ByteTokenizer.vocab_size)
    if encoder_dir is None and (known < text_vocab_size or one_has_bytes):  # else it has learned by now what it reads
        raise InputError(f"the text has {text_vocab_size} ids, not the {known} of {config.encoder}; {OWN_IDS}")
    return encoder


def _t5_network(name: str, encoder_dir: str | Path | None) -> nn.Module:
    from transformers import T5Config, T5EncoderModel

    if encoder_dir is not None:
        return T5EncoderModel(T5Config.from_pretrained(str(encoder_dir)))
    directory = model_directory(name)
    try:
        return T5EncoderModel.from_pretrained(directory, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot load the text encoder {name!r}: expected a T5 or ByT5 on the hub or in a local "
            f"directory ({str(error).splitlines()[0]:.150})"
        ) from error
