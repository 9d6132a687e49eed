"""AudioLM's language model, a decoder-only Transformer over tokens (Borsos et al., 2022, section IV-B)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.codebook_start import unit_rows
from soundstorm.models.relative_positions import SequencePositions
from soundstorm.models.transformer import KeyValues, SelfBlock, TimeRotation, TokenTimes


@dataclass
class Columns:
    """Columns of a batch of rows in the layout of ``data/audiolm_layout.py``: ``(B, L)`` each."""

    ids: Tensor
    times: Tensor
    due: Tensor
    condition: Tensor
    exists: Tensor | None = None  # bool: False at padding, which may be on the left; None: everything counts

    def token_times(self) -> TokenTimes:
        """Where they stand in time."""
        return TokenTimes(self.times, self.due, self.condition)


@dataclass
class AudioLMState:
    """Key-value cache of generation."""

    past: list[KeyValues]
    exists: Tensor | None = None  # (B, K); None: nothing is padded

    def keep(self, rows: Tensor) -> None:
        """Forget all batch items but ``rows`` (indices)."""
        if self.exists is not None:
            self.exists = self.exists[rows]
        for part in self.past:
            part.keep(rows)


class AudioLM(nn.Module):
    """One stage: tokens so far in, logits of the level of the next token out.

    The output matrix has a row for every class of every level; only the level that is due is multiplied, as
    tokens of another one cannot follow.
    """

    def __init__(
        self,
        config: AudioLMConfig,
        *,
        condition_size: int,
        num_levels: int,
        level_size: int,
        ends: bool = False,
    ):
        """
        Args:
            config: sizes.
            condition_size, num_levels, level_size, ends: vocabularies, as in
                :class:`soundstorm.data.audiolm_layout`.
        """
        super().__init__()
        self.condition_size, self.num_levels, self.level_size = condition_size, num_levels, level_size
        self.ends = ends
        self.embed = nn.Embedding(condition_size + num_levels * level_size + 1, config.width)
        timed, buckets = config.positions == "time", config.position_buckets
        self.positions = None
        if not timed:
            sizes = {"buckets": buckets, "max_distance": config.max_distance}
            self.positions = SequencePositions(config.heads, **sizes)
        self.blocks = nn.ModuleList(
            SelfBlock(
                config.width, config.heads, config.head_dim, config.inner, config.dropout, rotary=False,
                rotation=TimeRotation(config.heads, config.head_dim) if timed else None,
            )
            for _ in range(config.layers)
        )  # fmt: skip
        self.norm = nn.LayerNorm(config.width, bias=False)
        # The end comes last, being a class of the first level only.
        self.head = nn.Linear(config.width, num_levels * level_size + ends, bias=False)
        nn.init.zeros_(self.head.weight)  # all tokens equally likely to begin with
        self.dropout = nn.Dropout(config.dropout)

    @torch.no_grad()
    def start_from_codebooks(self, codebooks: Tensor) -> None:
        """Give codes that sound alike alike embeddings and outputs, as :class:`SoundStorm` can have them.

        Args:
            codebooks: those of the levels that are read or written, in the order of their ids
                ``(levels, N, D')``.
        """
        rows = unit_rows(codebooks, self.embed.embedding_dim).to(self.embed.weight.device)
        first = self.embed.num_embeddings - 1 - rows.shape[0] * rows.shape[1]
        predicted = self.num_levels * self.level_size
        if first < 0 or rows.shape[1] != self.level_size or len(rows) < self.num_levels:
            raise InputError(
                f"the codec has {len(rows)} codebooks of {rows.shape[1]} codes for this stage, "
                f"AudioLM {self.num_levels} of {self.level_size}"
            )
        self.embed.weight[first:-1] = rows.flatten(0, 1)
        # Small: nearly uniform predictions to begin with.
        self.head.weight[:predicted] = rows[-self.num_levels :].flatten(0, 1) * 0.02

    def forward(self, columns: Columns, levels: Tensor) -> list[Tensor]:
        """Logits ``(M, N)`` of each level, for the M columns that predict it.

        Args:
            columns: whole rows; padding, if any, on the right.
            levels: the level each column predicts, int64 ``(B, L)``, negative for none.
        """
        states = self.encode(columns)
        # Every level takes part, if only with no column: a distributed run waits for all gradients.
        return [self.level_logits(states[levels == level], level) for level in range(self.num_levels)]

    def encode(self, columns: Columns) -> Tensor:
        """States ``(B, L, D)`` of whole rows, without a cache; padding, if any, on the right."""
        if self.positions is None:
            return self._run(columns, None, None)
        length = columns.ids.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=columns.ids.device).triu(1)
        return self._run(columns, self.positions(length, length).masked_fill(later, float("-inf")), None)

    def begin(self, columns: Columns) -> tuple[Tensor, AudioLMState]:
        """Read the beginning of rows padded on the left; states, and what :meth:`advance` goes on from."""
        batch = len(columns.ids)
        like = self.embed.weight[:0]
        past = [
            block.attention.empty_cache(batch, like, capacity=2 * columns.ids.shape[1])
            for block in self.blocks
        ]
        state = AudioLMState(past)
        if columns.exists is not None and not bool(columns.exists.all()):
            state.exists = columns.exists[:, :0]
        return self.advance(columns, state), state

    def advance(self, columns: Columns, state: AudioLMState) -> Tensor:
        """Feed the next columns; their states ``(B, n, D)``."""
        if state.exists is None and self.positions is None:
            return self._run(columns, None, state.past)
        new = columns.ids.shape[1]
        place = torch.arange(state.past[0].length + new, device=columns.ids.device)
        distance = place[-new:, None] - place
        seen = (distance >= 0)[None]
        if state.exists is not None:
            exists = columns.exists if columns.exists is not None else torch.ones_like(columns.condition)
            state.exists = torch.cat([state.exists, exists], dim=1)
            # Padding attends to itself only, as a row without any key is NaN; nothing attends to padding.
            seen = ((distance > 0) & state.exists[:, None]) | (distance == 0)
        seen = seen[:, None]
        if self.positions is not None:
            seen = self.positions(new, len(place)).masked_fill(~seen, float("-inf"))
        return self._run(columns, seen, state.past)

    def _run(self, columns: Columns, mask: Tensor | None, past: list[KeyValues] | None) -> Tensor:
        """Without a mask attention is causal."""
        x, times = self.dropout(self.embed(columns.ids)), columns.token_times()
        for index, block in enumerate(self.blocks):
            x = block(x, mask, past[index] if past else None, causal=mask is None, times=times)
        return self.norm(x)

    def level_logits(self, states: Tensor, level: int) -> Tensor:
        """States ``(..., D)`` to logits ``(..., N)`` of a level's classes, plus the end's where rows end."""
        first = level * self.level_size
        weight = self.head.weight[first : first + self.level_size]
        if self.ends and level == 0:
            weight = torch.cat([weight, self.head.weight[-1:]])
        return nn.functional.linear(states, weight)
