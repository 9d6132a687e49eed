"""Mask diffusion: which codes lie behind noisy ones, given semantic tokens and a prompt.

The network of the public "unofficial SoundStorm" (yangdongchao/SoundStorm), a Transformer over frames
between the two halves of a U-Net over codebooks; the codes of all levels are noisy at once. Positions are
sinusoids or rotary, where it has tables that end, and only times that exist have a row: fewer parameters
than its 130M.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.codebook_start import unit_rows
from soundstorm.models.codebook_unet import CodebookUNet
from soundstorm.models.conformer import FeedForward, SelfAttention, rotary_tables
from soundstorm.models.discrete_diffusion import MaskAndUniform
from soundstorm.models.mask_diffusion_config import DiffusionConfig, MaskDiffusionConfig
from soundstorm.models.transformer import CrossAttention, sinusoids

CODE_SCALE = 0.02  # of the embeddings of codes, the output's weights too: nearly uniform to begin with


class TimedNorm(nn.Module):
    """LayerNorm whose scale and shift depend on the time of the chain (AdaLN)."""

    def __init__(self, width: int, steps: int):
        super().__init__()
        self.times = nn.Embedding(steps, width)
        self.modulate = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        """``x (B, T, D)``, ``times`` int64 ``(B,)``, from 1."""
        scale, shift = self.modulate(F.silu(self.times(times - 1)))[:, None].chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class TimedBlock(nn.Module):
    """Self-attention, attention to the condition if there is one, feed-forward."""

    def __init__(self, config: MaskDiffusionConfig, steps: int):
        super().__init__()
        width, heads, self.cross = config.width, config.heads, None
        self.self_norm = TimedNorm(width, steps)
        self.self_attention = SelfAttention(width, heads, rotary=config.conditioning == "sum")
        if config.conditioning == "cross":
            self.cross_norm = TimedNorm(width, steps)
            self.cross = CrossAttention(width, heads, width // heads)
        self.feed = FeedForward(width, config.inner, config.dropout)

    def forward(
        self, x: Tensor, times: Tensor, tables, attend: Tensor, memory: Tensor | None, exists: Tensor | None
    ) -> Tensor:
        """``x (B, T, D)``; ``memory (B, L, D)`` and which of it ``exists (B, 1, 1, L)``."""
        x = x + self.self_attention(self.self_norm(x, times), tables, attend)
        if self.cross is not None:
            x = x + self.cross(self.cross_norm(x, times), self.cross.read(memory), mask=exists)
        return x + self.feed(x)


class MaskDiffusion(nn.Module):
    """Noisy codes in, logits of the codes behind them out; the output's weights are the codes' embeddings."""

    def __init__(
        self,
        config: MaskDiffusionConfig,
        diffusion: DiffusionConfig,
        *,
        num_levels: int,
        codebook_size: int,
        semantic_size: int,
    ):
        """
        Args:
            config: sizes.
            diffusion: the chain.
            num_levels: Q of the codec.
            codebook_size: N of the codec; the mask is code N.
            semantic_size: number of semantic tokens.
        """
        super().__init__()
        self.num_levels, self.codebook_size, self.semantic_size = num_levels, codebook_size, semantic_size
        self.width, self.crosses = config.width, config.conditioning == "cross"
        self.head_dim = config.width // config.heads
        self.chain = MaskAndUniform(diffusion, codebook_size)
        self.codes = nn.Embedding(num_levels * (codebook_size + 1), config.width)  # row q * (N + 1) + code
        self.semantic = nn.Embedding(semantic_size, config.width)
        # Of the condition: semantic tokens of the target, those of the prompt, codes of the prompt.
        self.parts = nn.Embedding(3 if self.crosses else 2, config.width)
        nn.init.normal_(self.codes.weight, std=CODE_SCALE)
        self.unet = CodebookUNet(config.width)
        self.blocks = nn.ModuleList(TimedBlock(config, diffusion.steps) for _ in range(config.layers))
        self.register_buffer("_offsets", torch.arange(num_levels) * (codebook_size + 1), persistent=False)

    @torch.no_grad()
    def start_from_codebooks(self, codebooks: Tensor) -> None:
        """Give codes that sound alike alike embeddings, as SoundStorm can have them: ``(Q, N, D')``."""
        levels, size, _ = codebooks.shape
        if (levels, size) != (self.num_levels, self.codebook_size):
            ours = f"mask diffusion {self.num_levels} of {self.codebook_size}"
            raise InputError(f"the codec has {levels} codebooks of {size} codes, {ours}")
        self._tables()[:, :size] = unit_rows(codebooks, self.width) * CODE_SCALE

    def forward(
        self,
        semantic: Tensor,
        codes: Tensor,
        times: Tensor,
        prompt_end: Tensor,
        lengths: Tensor,
        rows: Tensor,
    ) -> Tensor:
        """
        Args:
            semantic: int64 ``(B, T)``, aligned with the codec's frames.
            codes: int64 ``(B, T, Q)``: noisy in the target, as they are in the prompt; N is the mask.
            times: of the chain, int64 ``(B,)``, 1 to ``chain.steps``.
            prompt_end: first frame of the target, int64 ``(B,)``; 0 without a prompt.
            lengths: int64 ``(B,)``.
            rows: frames asked for, int64 ``(M,)``, ``b * T + t``, of the target.

        Returns:
            Logits ``(M, Q, N)``.
        """
        count = semantic.shape[1]
        frames = torch.arange(count, device=semantic.device)
        exists, given = frames < lengths[:, None], frames < prompt_end[:, None]
        seen = exists & ~given if self.crosses else exists
        cells, x = self.unet.down(self.codes(codes.clamp(max=self.codebook_size) + self._offsets), ~seen)
        tables, memory, readable = None, None, None
        condition = self.semantic(semantic) + self.parts(given.long())
        if self.crosses:
            waves = sinusoids(count, self.width, semantic.device)
            places = waves[torch.where(given, frames, (frames - prompt_end[:, None]).clamp(min=0))]
            prompt = self.codes(codes[:, :, 0]) + self.parts.weight[2] + waves
            memory = torch.cat([condition + places, prompt], 1)
            readable = torch.cat([exists, given], 1)[:, None, None]
            x = x + places
        else:
            tables = rotary_tables(count, self.head_dim, x.device, torch.float32)
            x = x + condition
        for block in self.blocks:
            x = block(x, times, tables, seen[:, None, None], memory, readable)
        wanted = self.unet.up(cells, x, ~seen).flatten(0, 1)[rows]
        return torch.einsum("mqd,qnd->mqn", wanted, self._tables()[:, : self.codebook_size].to(wanted.dtype))

    def _tables(self) -> Tensor:
        """Embeddings of the codes ``(Q, N + 1, D)``, the masks last."""
        return self.codes.weight.view(self.num_levels, self.codebook_size + 1, self.width)
