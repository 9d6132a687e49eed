"""SoundStorm's confidence-based parallel decoding, level by level (section 3.3).

The network sees the same inputs as in training: an unmasked prompt at all levels, unmasked coarser levels,
the current level partly masked, all finer levels of the target masked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from soundstorm.data.errors import InputError
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.rules import DecodingRules, Proposal
from soundstorm.decoding.sampling import gumbel, sample_by_gumbel
from soundstorm.models.devices import precision_on
from soundstorm.models.masking import coarse_to_fine_mask
from soundstorm.models.soundstorm import SoundStorm

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@torch.inference_mode()
def decode(
    model: SoundStorm,
    semantic: Tensor,
    lengths: Tensor,
    config: ParallelConfig,
    *,
    prompt: Tensor | None = None,
    prompt_lengths: Tensor | None = None,
    seeds: list[int] | None = None,
    watch: Callable[[int, int, Tensor, Tensor], None] | None = None,
    rules: DecodingRules | None = None,
) -> Tensor:
    """Fill in the acoustic tokens of a batch.

    Args:
        model: the network, in evaluation mode.
        semantic: int64 ``(B, T)`` at the codec's frame rate, of prompt and target together.
        lengths: int64 ``(B,)``, frames of each example.
        config: iterations and temperatures.
        prompt: int64 ``(B, P, Q)``, acoustic tokens of the first frames; None for none.
        prompt_lengths: int64 ``(B,)``, prompt frames of each example, below its length.
        seeds: one for each example; ``config.seed`` plus its number by default.
        watch: called before each forward pass with level, iteration (1-based), codes and mask, for tests and
            visualization.
        rules: schedule, confidence and choice; those of ``config`` by default.

    Returns:
        int64 ``(B, T, Q)``: the prompt as it was, then the generated tokens, zeros at padded frames.

    Raises:
        ValueError: a prompt that leaves nothing to fill in.
    """
    batch, frames = semantic.shape
    device = semantic.device
    codes = torch.zeros(batch, frames, model.num_levels, dtype=torch.long, device=device)
    starts = torch.zeros(batch, dtype=torch.long) if prompt is None else prompt_lengths.cpu()
    ends = lengths.cpu()
    if (starts >= ends).any():
        raise InputError(
            f"prompts of {starts.tolist()} frames leave nothing to fill in of {ends.tolist()} frames; "
            "the semantic tokens must cover prompt and target"
        )
    if prompt is not None:
        in_prompt = torch.arange(prompt.shape[1], device=device) < starts.to(device)[:, None]
        codes[:, : prompt.shape[1]][in_prompt] = prompt.to(device)[in_prompt]
    seeds = [config.seed + b for b in range(batch)] if seeds is None else seeds
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    rules = rules or DecodingRules.of(config)
    filling = _Filling(model, semantic, codes, starts, ends, config, generators, watch, rules)
    precision = PRECISIONS.get(precision_on(device, config.precision))
    with torch.autocast(device.type, precision, enabled=precision is not None):
        for level, iterations in enumerate(config.iterations_of(model.num_levels)):
            filling.fill_level(level, iterations)
    return codes


@dataclass
class _Filling:
    """State of a batch that is being decoded.

    Features, logits and samples are computed for masked frames only. The schedule gives their number in
    advance on the host, so no pass waits for a GPU to count them.
    """

    model: SoundStorm
    semantic: Tensor
    codes: Tensor
    starts: Tensor  # first frame to fill in (B,), on the host
    ends: Tensor  # the frame after the last one (B,), on the host
    config: ParallelConfig
    generators: list[torch.Generator]
    watch: Callable[[int, int, Tensor, Tensor], None] | None
    rules: DecodingRules

    def fill_level(self, level: int, iterations: int) -> None:
        """Fill in one level of the codes in place; write nowhere else."""
        batch, frames, levels = self.codes.shape
        device, flat = self.codes.device, self.codes.view(-1, levels)
        starts, ends = self.starts.to(device), self.ends.to(device)
        # Padding is ignored by a mask, which only ragged batches need.
        ragged = None if bool((self.ends == frames).all()) else ends
        in_level = torch.full((batch,), level, device=device)
        everything = torch.ones(batch, frames, dtype=torch.bool, device=device)
        _, masked = coarse_to_fine_mask(starts, in_level, everything, ends, levels)
        left = to_fill = self.ends - self.starts
        rank = self.rules.confidence()
        for iteration in range(1, iterations + 1):
            # The mask is made by the same function as in training.
            hidden, _ = coarse_to_fine_mask(starts, in_level, masked, ends, levels)
            if self.watch:
                self.watch(level, iteration, self.codes, hidden)
            # Rows of the masked frames, in their order.
            rows = masked.flatten().byte().argsort(descending=True, stable=True)[: int(left.sum())]
            features = self.model.encode(self.semantic, self.codes, hidden, ragged, rows)
            logits = self.model.level_logits(features, level)
            if iteration == iterations:  # the last iteration is greedy and commits all that is left
                flat[rows, level] = logits.argmax(-1)
                return
            noise = self._noise(logits.shape[-1], rows, left)
            tokens, log_probability = sample_by_gumbel(
                logits, noise[:, 1:], temperature=self.config.temperature, top_k=self.config.top_k
            )
            proposal = Proposal(
                iteration, iterations, to_fill, left, masked,
                rows, logits, tokens, log_probability, noise[:, 0],
            )  # fmt: skip
            confidence = proposal.laid_out(rank(proposal))
            stay = self.rules.schedule(proposal, confidence)
            if (stay == 0).any():  # fewer frames than iterations: this is the last one, hence greedy
                tokens = torch.where((stay == 0).to(device)[proposal.example], logits.argmax(-1), tokens)
            committed = self.rules.choice(confidence, masked, stay.to(device))
            flat[rows, level] = torch.where(committed.flatten()[rows], tokens, flat[rows, level])
            masked, left = masked & ~committed, stay
            if not left.any():
                return

    def _noise(self, size: int, rows: Tensor, left: Tensor) -> Tensor:
        """Gumbel noise ``(M, 1 + N)`` of the masked frames: for the confidence, then for the tokens.

        Every frame of an unfinished example consumes random numbers and padding does not, so that an
        example's stream is the same alone and in a batch.
        """
        uniform = torch.empty(*self.codes.shape[:2], 1 + size)
        for b, (end, generator) in enumerate(zip(self.ends.tolist(), self.generators, strict=True)):
            if left[b]:
                uniform[b, :end].uniform_(generator=generator)
        return gumbel(uniform.view(-1, 1 + size).to(rows.device)[rows])
