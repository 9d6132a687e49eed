"""Sampling by mask diffusion: from masks to codes, all levels at once, the prompt given and never touched.

By purity, as the public implementation does (Tang et al., 2022, Improved VQ-Diffusion): what was revealed
stays. By the posterior of the chain: a code may be corrected as long as there is noise, and jumps over
several steps follow the posterior of the whole jump. The public implementation jumps by the posterior of a
single step, which leaves a quarter of the codes to the last of 26 passes, and two thirds to the last of 11.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from soundstorm.data.errors import InputError
from soundstorm.decoding.mask_diffusion_kind import PURITY, MaskDiffusionSamplingConfig
from soundstorm.decoding.parallel import PRECISIONS, start, uniforms
from soundstorm.decoding.sampling import choose, gumbel, keep_most_confident
from soundstorm.models.devices import fast_products, precision_on
from soundstorm.models.mask_diffusion import MaskDiffusion


@fast_products()
@torch.inference_mode()
def decode(
    model: MaskDiffusion,
    semantic: Tensor,
    lengths: Tensor,
    config: MaskDiffusionSamplingConfig,
    *,
    seeds: list[int],
    prompt: Tensor | None = None,
    prompt_lengths: Tensor | None = None,
    watch: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Fill in the acoustic tokens of a batch.

    Args:
        model: the network, in evaluation mode.
        semantic: int64 ``(B, T)`` at the codec's frame rate, of prompt and target together.
        lengths: int64 ``(B,)``, frames of each example.
        config: how.
        seeds: one for each example.
        prompt: int64 ``(B, P, Q)``, acoustic tokens of the first frames; None for none.
        prompt_lengths: int64 ``(B,)``, prompt frames of each example, below its length.
        watch: called before each forward pass with the time and the codes so far.

    Returns:
        int64 ``(B, T, Q)``: the prompt as it was, then the generated tokens, zeros at padded frames.

    Raises:
        ValueError: a prompt that leaves nothing to fill in, or more passes than the chain has steps.
    """
    (batch, frames), device, levels, chain = semantic.shape, semantic.device, model.num_levels, model.chain
    codes, starts, ends = start(semantic, lengths, levels, prompt, prompt_lengths)
    place, first, last = torch.arange(frames), starts[:, None], ends[:, None]
    target = (place >= first) & (place < last)  # on the host, so that nothing waits to count them
    rows = target.flatten().nonzero()[:, 0].to(device)
    target = target.to(device)
    codes.masked_fill_(target[:, :, None], chain.num_codes)
    times = pass_times(chain.steps, config.passes)
    # Those of a code: one for which it becomes, one for when.
    numbers = uniforms(seeds, (ends * levels).tolist(), len(times), frames * levels).to(device)
    to_reveal = torch.tensor([reveals(int(cells), len(times)) for cells in (ends - starts) * levels])
    flat, shown = codes.view(-1, levels), (starts.to(device), ends.to(device))
    precision = PRECISIONS.get(precision_on(device, config.precision))
    for number, (time, following) in enumerate(zip(times, [*times[1:], 0], strict=True)):
        if watch:
            watch(time, codes)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            logits = model(semantic, codes, torch.full((batch,), time, device=device), *shown, rows)
        log_p = likeliest(logits.float() / config.temperature, config.top_p)
        drawn = numbers[number].view(-1, levels, 2)[rows].flatten(0, 1)
        if config.sampler == PURITY:
            chosen, confidence = by_purity(log_p, rows // frames, batch, drawn, config.sharpness)
            ranked = codes.new_zeros(batch * frames, levels, dtype=confidence.dtype)
            ranked[rows] = confidence
            masked = (codes == chain.num_codes).flatten(1)
            stay = to_reveal[:, number + 1 :].sum(1).to(device)
            revealed = keep_most_confident(ranked.view(batch, -1), masked, stay).view(-1, levels)[rows]
            flat[rows] = torch.where(revealed, chosen, flat[rows])
        else:
            jump = (torch.full((), t, device=device) for t in (time, following))
            back = chain.log_posterior(log_p.log_softmax(-1), flat[rows], *jump).flatten(0, 1)
            flat[rows] = choose(back, drawn[:, 0], temperature=1.0, top_k=0).view(-1, levels)
    return codes


def pass_times(steps: int, passes: int) -> list[int]:
    """Time of each pass, from the last one T on in equal jumps, and 1 in the end."""
    if passes > steps:
        raise InputError(
            f"mask_diffusion.passes is {passes}, expected at most {steps}, the steps of the trained chain"
        )
    jump = steps / max(1, passes - 1)
    # Never so near to 1 that the passes still to come would have no time of their own.
    return [max(round(steps - jump * number), passes - number) for number in range(passes)]


def reveals(cells: int, passes: int) -> list[int]:
    """How many codes are revealed in each pass: evenly, but five and one in the last two, as published.

    So few that these do not matter are revealed evenly throughout.
    """
    if passes < 4 or cells < 6 * passes:
        return [cells * (number + 1) // passes - cells * number // passes for number in range(passes)]
    each = cells // (passes - 2)
    return [cells - 6 - each * (passes - 3)] + [each] * (passes - 3) + [5, 1]


def likeliest(logits: Tensor, mass: float) -> Tensor:
    """Log-probabilities ``(..., N)`` of the likeliest codes, up to the one that exceeds a mass; else -inf.

    They are not made to sum to 1 again: how sure the network was is what purity is about.
    """
    log_p = logits.log_softmax(-1)
    if mass == 1:
        return log_p
    ranked = log_p.sort(-1, descending=True).values
    count = (ranked.exp().cumsum(-1) < mass).sum(-1, keepdim=True).clamp(max=log_p.shape[-1] - 1)
    return log_p.masked_fill(log_p < ranked.gather(-1, count), float("-inf"))


def by_purity(
    log_p: Tensor, example: Tensor, batch: int, numbers: Tensor, sharpness: float
) -> tuple[Tensor, Tensor]:
    """Draw a code for every cell, and say in which order they are to be revealed.

    Args:
        log_p: of the codes, ``(M, Q, N)``.
        example: which example each row is of ``(M,)``.
        batch: how many there are.
        numbers: in [0, 1) ``(M * Q, 2)``.
        sharpness: r of softmax((1 + r purity) log_p); purity is the largest probability, over the example's.

    Returns:
        Codes, and a confidence whose largest values are a draw by purity without replacement: ``(M, Q)``.
    """
    purity = log_p.amax(-1).exp()
    largest = purity.new_zeros(batch).scatter_reduce(0, example, purity.amax(-1), "amax")
    sharp = (1 + sharpness * purity / largest[example][:, None])[..., None] * log_p
    chosen = choose(sharp.flatten(0, 1), numbers[:, 0], temperature=1.0, top_k=0)
    return chosen.view(purity.shape), purity.log() + gumbel(numbers[:, 1]).view(purity.shape)
