"""SoundStorm's confidence-based parallel decoding, level by level (section 3.3).

The network sees the same inputs as in training: an unmasked prompt at all levels, unmasked coarser levels,
the current level partly masked, all finer levels of the target masked. Of a codec with groups the levels of
a stage are filled in together, in that stage's iterations: each of its tokens is one of the masked "frames"
below.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soundstorm.data.codebook import levels_of_stage
from soundstorm.data.errors import InputError
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.rules import DecodingRules, Proposal
from soundstorm.decoding.sampling import choose, gumbel
from soundstorm.models.devices import fast_products, precision_on
from soundstorm.models.masking import coarse_to_fine_mask
from soundstorm.models.soundstorm import SoundStorm

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@fast_products()
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
        semantic: int64 ``(B, T)`` at the codec's frame rate, of prompt and target together; or the vectors
            ``(B, T, D)`` that a model without semantic tokens is conditioned on.
        lengths: int64 ``(B,)``, frames of each example.
        config: iterations and temperatures.
        prompt: int64 ``(B, P, Q)``, acoustic tokens of the first frames; None for none.
        prompt_lengths: int64 ``(B,)``, prompt frames of each example, below its length.
        seeds: one for each example; ``config.seed`` plus its number by default.
        watch: called before each forward pass with level (or stage), iteration (1-based), codes and mask, for
            tests and visualization.
        rules: schedule, confidence and choice; those of ``config`` by default.

    Returns:
        int64 ``(B, T, Q)``: the prompt as it was, then the generated tokens, zeros at padded frames.

    Raises:
        ValueError: a prompt that leaves nothing to fill in.
    """
    batch, frames = semantic.shape[:2]
    device = semantic.device
    codes, starts, ends = start(semantic, lengths, model.num_levels, prompt, prompt_lengths)
    seeds = [config.seed + b for b in range(batch)] if seeds is None else seeds
    iterations, groups = config.iterations_of(model.num_levels // model.groups), model.groups
    # Those of the passes that sample, all but the last one of each level.
    sampled, sizes = sum(iterations) - len(iterations), (ends * groups).tolist()
    numbers = iter(uniforms(seeds, sizes, sampled, frames * groups).to(device))
    rules = rules or DecodingRules.of(config)
    filling = _Filling(model, semantic, codes, starts, ends, config, watch, rules)
    precision = PRECISIONS.get(precision_on(device, config.precision))
    with torch.autocast(device.type, precision, enabled=precision is not None):
        for level, count in enumerate(iterations):
            filling.fill_level(level, count, [next(numbers) for _ in range(count - 1)])
    return codes


def start(
    semantic: Tensor, lengths: Tensor, levels: int, prompt: Tensor | None, prompt_lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes ``(B, T, Q)`` with the prompts, else zeros; first frame of each target, and that after its last.

    The frames are on the host; arguments are those of :func:`decode`.

    Raises:
        ValueError: a prompt that leaves nothing to fill in.
    """
    batch, frames = semantic.shape[:2]
    device = semantic.device
    codes = torch.zeros(batch, frames, levels, dtype=torch.long, device=device)
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
    return codes, starts, ends


def uniforms(seeds: Sequence[int], lengths: Sequence[int], passes: int, frames: int) -> Tensor:
    """Random numbers in [0, 1) of each frame in each pass: one for its token, one for its confidence.

    Every example draws from its own seed, by passes and its own frames, on the host: its numbers are the same
    alone, in any batch and on any device. They are few enough to be made and copied all at once.

    Args:
        seeds: one for each example.
        lengths: frames of each.
        passes: how many.
        frames: T, at least the longest.

    Returns:
        ``(passes, B * T, 2)``, zeros at padded frames.
    """
    numbers = torch.zeros(passes, len(seeds), frames, 2)
    for b, (seed, length) in enumerate(zip(seeds, lengths, strict=True)):
        numbers[:, b, :length] = torch.rand(passes, length, 2, generator=torch.Generator().manual_seed(seed))
    return numbers.flatten(1, 2)


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
    watch: Callable[[int, int, Tensor, Tensor], None] | None
    rules: DecodingRules

    def fill_level(self, level: int, iterations: int, numbers: Sequence[Tensor]) -> None:
        """Fill in one level of the codes, or one stage, in place; write nowhere else.

        Args:
            level: which.
            iterations: forward passes at most, of which the last one is greedy.
            numbers: :func:`uniforms` of each of the others ``(B * T * G, 2)``.
        """
        (batch, frames, levels), groups = self.codes.shape, self.model.groups
        device, flat = self.codes.device, self.codes.view(-1, levels)
        starts, ends = self.starts.to(device), self.ends.to(device)
        # Padding is ignored by a mask, which only ragged batches need.
        ragged = None if bool((self.ends == frames).all()) else ends
        in_level = torch.full((batch,), level, device=device)
        everything = torch.ones(batch, frames, groups, dtype=torch.bool, device=device)
        masked = coarse_to_fine_mask(starts, in_level, everything, ends, levels)[1].flatten(1)
        left = to_fill = (self.ends - self.starts) * groups
        rank = self.rules.confidence()
        for iteration in range(1, iterations + 1):
            # The mask is made by the same function as in training.
            hidden, _ = coarse_to_fine_mask(
                starts, in_level, masked.view(batch, frames, groups), ends, levels
            )
            # Rows of the masked frames, in their order, and where in the codes they are.
            rows = masked.flatten().byte().argsort(descending=True, stable=True)[: int(left.sum())]
            places = (rows, level) if groups == 1 else (rows // groups, level * groups + rows % groups)
            logits = self._logits(level, iteration, hidden, ragged, rows)
            if iteration == iterations:  # the last iteration is greedy and commits all that is left
                flat[places] = logits.argmax(-1)
                return
            drawn = numbers[iteration - 1][rows]
            tokens = choose(
                logits, drawn[:, 0], temperature=self.config.temperature, top_k=self.config.top_k
            )
            log_probability = logits.float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
            proposal = Proposal(
                iteration, iterations, to_fill, left, masked,
                rows, logits, tokens, log_probability, gumbel(drawn[:, 1]), groups,
            )  # fmt: skip
            confidence = proposal.laid_out(rank(proposal))
            stay = self.rules.schedule(proposal, confidence)
            if (stay == 0).any():  # fewer frames than iterations: this is the last one, hence greedy
                tokens = torch.where((stay == 0).to(device)[proposal.example], logits.argmax(-1), tokens)
            committed = self.rules.choice(confidence, masked, stay.to(device, non_blocking=True))
            flat[places] = torch.where(committed.flatten()[rows], tokens, flat[places])
            masked, left = masked & ~committed, stay
            if not left.any():
                return

    def _logits(
        self, level: int, iteration: int, hidden: Tensor, ragged: Tensor | None, rows: Tensor
    ) -> Tensor:
        """Of the rows ``(M, N)``; with guidance as far beyond those without the prompt as its weight says."""
        groups = self.model.groups
        group = rows % groups
        rows = rows if groups == 1 else rows // groups  # of frames from here on

        def run(*inputs: Tensor | None) -> Tensor:
            if self.watch:
                self.watch(level, iteration, self.codes, hidden)
            features = self.model.encode(*inputs)
            of_groups = [self.model.level_logits(features, q) for q in levels_of_stage(level, groups)]
            if groups == 1:
                return of_groups[0]
            # Those of all groups: heads are small, and no pass waits for a GPU to sort its tokens by group.
            return torch.stack(of_groups, 1)[torch.arange(len(group), device=group.device), group]

        logits, guidance = run(self.semantic, self.codes, hidden, ragged, rows), self.config.guidance
        if not (guidance and self.starts.any()):
            return logits
        # Every example from its target on, as one without prompt in training; beyond its end is padding.
        lengths, starts, frames = self.ends - self.starts, self.starts.to(rows.device), hidden.shape[1]
        longest = int(lengths.max())
        places = (starts[:, None] + torch.arange(longest, device=rows.device)).clamp(max=frames - 1)
        cut = [x[torch.arange(len(x))[:, None], places] for x in (self.semantic, self.codes, hidden)]
        example = rows // frames
        without = run(*cut, lengths.to(rows.device), rows - starts[example] - example * (frames - longest))
        return logits + guidance * (logits - without)
