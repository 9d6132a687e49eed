"""SoundStorm: masked acoustic tokens from semantic tokens (Borsos et al., 2023, section 3.1)."""

import torch
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.codebook_start import unit_rows
from soundstorm.models.codebook_unet import CodebookUNet
from soundstorm.models.fast_path import build_conformer
from soundstorm.models.soundstorm_config import SoundStormConfig

ACOUSTIC_SCALE = 0.6  # of the sum of a frame's acoustic embeddings at the start; the semantic embedding has 1


class SoundStorm(nn.Module):
    """Sum of the embeddings of a frame's tokens in, logits of one RVQ level out.

    Each level has its own embedding table, whose last row is that level's mask token, and its own head. The
    sequence is as long as the codec's frames, whatever the number of levels. Only the logits asked for are
    computed.
    """

    def __init__(
        self,
        config: SoundStormConfig,
        *,
        num_levels: int,
        codebook_size: int,
        semantic_size: int,
        groups: int = 1,
    ):
        """
        Args:
            config: sizes.
            num_levels: Q of the codec.
            codebook_size: N of the codec.
            semantic_size: number of semantic tokens; 0: what a frame is conditioned on comes as a vector.
            groups: G of the codec, levels that are masked and decoded together.
        """
        super().__init__()
        self.groups, self.num_stages = groups, num_levels // groups
        self.num_levels, self.codebook_size, self.semantic_size = num_levels, codebook_size, semantic_size
        self.semantic = nn.Embedding(semantic_size, config.width) if semantic_size else nn.Identity()
        # One table for all levels: row q * (N + 1) + code, so that a frame's embedding is one bag of Q rows.
        self.acoustic = nn.Embedding(num_levels * (codebook_size + 1), config.width)
        # The conditioning is to be heard above the sum of Q acoustic tokens, most of them masked or
        # unpredictable.
        if semantic_size:
            nn.init.normal_(self.semantic.weight, std=1.0)
        nn.init.normal_(self.acoustic.weight, std=ACOUSTIC_SCALE / num_levels**0.5)
        self.conformer = build_conformer(
            layers=config.layers,
            width=config.width,
            heads=config.heads,
            inner=config.inner,
            kernel=config.kernel,
            expansion=config.expansion,
            dropout=config.dropout,
        )
        self.unet = CodebookUNet(config.width) if config.combine == "unet" else None
        self.heads = nn.ModuleList(nn.Linear(config.width, codebook_size) for _ in range(num_levels))
        for head in self.heads:  # all tokens equally likely to begin with
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.register_buffer("_offsets", torch.arange(num_levels) * (codebook_size + 1), persistent=False)

    @torch.no_grad()
    def start_from_codebooks(self, codebooks: Tensor) -> None:
        """Give codes that sound alike alike embeddings and heads, as they are in the codec.

        A random start has to learn the geometry of every codebook from examples, which little data do not
        show.

        Args:
            codebooks: ``(Q, N, D')``.
        """
        levels, size, _ = codebooks.shape
        if (levels, size) != (self.num_levels, self.codebook_size):
            ours = f"SoundStorm {self.num_levels} of {self.codebook_size}"
            raise InputError(f"the codec has {levels} codebooks of {size} codes, {ours}")
        width = self.acoustic.embedding_dim
        unit = unit_rows(codebooks, width)
        self.acoustic.weight.view(levels, size + 1, width)[:, :size] = unit * ACOUSTIC_SCALE / levels**0.5
        for head, rows in zip(self.heads, unit, strict=True):
            head.weight.copy_(rows * 0.02)  # nearly uniform predictions to begin with

    def encode(
        self,
        semantic: Tensor,
        codes: Tensor,
        hidden: Tensor,
        lengths: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Run the backbone.

        Args:
            semantic: int64 ``(B, T)``, aligned with the codec's frames, or vectors ``(B, T, D)``; never masked.
            codes: int64 ``(B, T, Q)``; what stands where ``hidden`` is True does not matter.
            hidden: bool ``(B, T, Q)``, tokens replaced by the mask token of their level.
            lengths: int64 ``(B,)``, or None when nothing is padded.
            rows: int64 ``(M,)``, frames whose features are asked for, ``b * T + t``; None for all.

        Returns:
            ``(B, T, D)``, or ``(M, D)`` of the rows; with a U-Net for each level, ``(B, T, Q, D)`` or
            ``(M, Q, D)``.
        """
        entries = codes.masked_fill(hidden, self.codebook_size) + self._offsets
        batch, frames, levels = entries.shape
        if self.unet is not None:
            places = torch.arange(frames, device=codes.device).expand(batch, frames)
            outside = places >= (frames if lengths is None else lengths[:, None])
            cells, combined = self.unet.down(self.acoustic(entries), outside)
            encoded = self.conformer(self.semantic(semantic) + combined, lengths)
            features = self.unet.up(cells, encoded, outside)
            return features if rows is None else features.flatten(0, 1)[rows]
        summed = nn.functional.embedding_bag(entries.view(-1, levels), self.acoustic.weight, mode="sum")
        return self.conformer(self.semantic(semantic) + summed.view(batch, frames, -1), lengths, rows)

    def forward(
        self,
        semantic: Tensor,
        codes: Tensor,
        hidden: Tensor,
        target: Tensor,
        lengths: Tensor | None,
    ) -> list[tuple[int, Tensor, Tensor, Tensor]]:
        """Logits of the tokens to predict, and of nothing else.

        Args:
            semantic, codes, hidden, lengths: as in :meth:`encode`.
            target: bool ``(B, T, Q)``, tokens to predict.

        Returns:
            For each level: the level, logits ``(M, N)``, the right tokens ``(M,)``, and the example that each
            is of ``(M,)``.
        """
        chosen = target.flatten(0, 1).cpu()  # one wait for the device: all sizes follow from it
        rows = chosen.any(-1).nonzero()[:, 0]
        levels, places = chosen[rows].T.nonzero().T.to(codes.device)
        counts = chosen.sum(0).tolist()
        rows = rows.to(codes.device)
        features = self.encode(semantic, codes, hidden, lengths, rows)
        tokens, examples = codes.flatten(0, 1)[rows[places], levels], rows[places] // codes.shape[1]
        of_level = zip(*(values.split(counts) for values in (places, tokens, examples)), strict=True)
        # Every head takes part, if only with no frame: a distributed run waits for all gradients.
        return [
            (q, self.level_logits(features[wanted], q), right, example)
            for q, (wanted, right, example) in enumerate(of_level)
        ]

    def level_logits(self, features: Tensor, level: int) -> Tensor:
        """Logits ``(..., N)`` of one level from the features of frames."""
        return self.heads[level](features if self.unet is None else features[..., level, :])
