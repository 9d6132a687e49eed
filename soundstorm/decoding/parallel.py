"""Level by level, most confident tokens first: SoundStorm's decoding (section 3.3).

Whatever the network sees here it has seen in training: the prompt open at all levels, coarser levels open, some frames
of the current level masked, all finer levels masked in the target.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from soundstorm.decoding.config import ParallelConfig
from soundstorm.decoding.sampling import gumbel, keep_most_confident, sample_tokens
from soundstorm.models.masking import coarse_to_fine_mask, masked_after
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
        watch: called before each forward pass with level, iteration (1-based), codes and hidden, for tests and films.

    Returns:
        int64 ``(B, T, Q)``: the prompt as it was, then the generated tokens, zeros at padded frames.

    Raises:
        ValueError: a prompt that leaves nothing to fill in.
    """
    batch, frames = semantic.shape
    device = semantic.device
    lengths = lengths.to(device)
    codes = torch.zeros(batch, frames, model.num_levels, dtype=torch.long, device=device)
    start = torch.zeros(batch, dtype=torch.long, device=device)
    if prompt is not None:
        start = prompt_lengths.to(device)
        if (start >= lengths).any():
            raise ValueError(
                f"prompts of {start.tolist()} frames leave nothing to fill in of {lengths.tolist()} frames; "
                "the semantic tokens must cover prompt and target"
            )
        in_prompt = torch.arange(prompt.shape[1], device=device) < start[:, None]
        codes[:, : prompt.shape[1]][in_prompt] = prompt.to(device)[in_prompt]
    seeds = [config.seed + b for b in range(batch)] if seeds is None else seeds
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    # Padding costs nothing to skip and changes nothing: only ragged batches need a mask.
    ragged = None if bool((lengths == frames).all()) else lengths
    with torch.autocast(device.type, PRECISIONS.get(config.precision), enabled=config.precision in PRECISIONS):
        for level, iterations in enumerate(config.iterations_of(model.num_levels)):
            _fill_level(model, codes, semantic, start, lengths, ragged, level, iterations, config, generators, watch)
    return codes


def _fill_level(
    model, codes, semantic, start, lengths, ragged, level, iterations, config: ParallelConfig, generators, watch
) -> None:
    """Fill in one level of ``codes`` in place; write nowhere else."""
    frames = codes.shape[1]
    in_level = torch.full((len(codes),), level, device=codes.device)
    everything = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
    _, masked = coarse_to_fine_mask(start, in_level, everything, lengths, model.num_levels)
    to_fill = masked.sum(-1)
    for iteration in range(1, iterations + 1):
        # The same function as in training says what is hidden.
        hidden, _ = coarse_to_fine_mask(start, in_level, masked, lengths, model.num_levels)
        if watch:
            watch(level, iteration, codes, hidden)
        logits = model.level_logits(model.encode(semantic, codes, hidden, ragged), level)
        if iteration == iterations:  # the last iteration is greedy and commits all that is left
            codes[..., level] = torch.where(masked, logits.argmax(-1), codes[..., level])
            return
        noise = _noise(len(codes), frames, logits.shape[-1], lengths, generators, codes.device)
        tokens, confidence = sample_tokens(logits, noise[..., 1:], temperature=config.temperature, top_k=config.top_k)
        confidence = confidence + config.choice_temperature * (1 - iteration / iterations) * noise[..., 0]
        committed = keep_most_confident(confidence, masked, masked_after(to_fill, iteration, iterations))
        codes[..., level] = torch.where(committed, tokens, codes[..., level])
        masked = masked & ~committed


def _noise(batch: int, frames: int, size: int, lengths: Tensor, generators: list[torch.Generator], device) -> Tensor:
    """Gumbel noise ``(B, T, 1 + N)``: for the confidence, then for the tokens. Padding draws nothing, so that an
    example's stream is the same alone and in a batch."""
    noise = torch.zeros(batch, frames, 1 + size, device=device)
    for b, length in enumerate(lengths.tolist()):
        noise[b, :length] = gumbel((1, length, 1 + size), generators[b : b + 1], device)[0]
    return noise
