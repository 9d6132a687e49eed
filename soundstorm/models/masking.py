"""The masks of SoundStorm, for training and for decoding (SoundStorm, sections 3.2 and 3.3).

The random numbers and the rule are kept apart: ``data/datasets/masked_tokens_dataset.py`` draws the random
numbers of one example, and :func:`coarse_to_fine_mask` turns such numbers into masks without any randomness.
"""

import math

import torch
from torch import Tensor


def coarse_to_fine_mask(
    prompt_end: Tensor, level: Tensor, dropped: Tensor, lengths: Tensor, num_levels: int
) -> tuple[Tensor, Tensor]:
    """Masks of a batch from the numbers drawn.

    Of a codec with G groups the levels of a stage (``data/codebook.py``: ``levels_of_stage``) take the place
    of the one level: each is hidden in frames of its own.

    Args:
        prompt_end: first target frame, int64 ``(B,)``.
        level: level to predict, or stage, int64 ``(B,)``.
        dropped: bool ``(B, T)``, or with groups ``(B, T, G)``.
        lengths: frames of each example, int64 ``(B,)``.
        num_levels: Q.

    Returns:
        hidden: bool ``(B, T, Q)``, what the network must not see: the dropped target frames at ``level`` and
            all target frames at the finer levels. Coarser levels, the prompt and the padding are never
            hidden.
        target: bool ``(B, T)`` or ``(B, T, G)``, what is predicted (and counted in the loss) at ``level``.
    """
    frames = torch.arange(dropped.shape[1], device=dropped.device)
    in_target = (frames >= prompt_end[:, None]) & (frames < lengths[:, None])  # (B, T)
    target = (in_target if dropped.ndim == 2 else in_target[:, :, None]) & dropped
    groups = 1 if dropped.ndim == 2 else dropped.shape[2]
    stages = torch.arange(num_levels, device=dropped.device) // groups
    finer = in_target[:, :, None] & (stages > level[:, None])[:, None, :]
    return at_level(target, level, num_levels) | finer, target


def at_level(cells: Tensor, level: Tensor, num_levels: int) -> Tensor:
    """Cells of one level ``(B, T)``, or of the groups of one stage ``(B, T, G)``, in the grid of all levels.

    Args:
        cells: bool.
        level: which level, or stage, int64 ``(B,)``.
        num_levels: Q.

    Returns:
        bool ``(B, T, Q)``, False at all others.
    """
    cells = cells[:, :, None] if cells.ndim == 2 else cells
    stages = torch.arange(num_levels // cells.shape[2], device=cells.device)
    return (cells[:, :, None, :] & (stages == level[:, None])[:, None, :, None]).flatten(2)


def grid_mask(prompt_end: Tensor, dropped: Tensor, lengths: Tensor) -> Tensor:
    """Cells hidden anywhere in the grid of target frames and levels, all of which are predicted.

    Not the paper's: OmniVoice's masks (Zhu et al., 2026, arXiv 2604.00688), under which every cell teaches.

    Args:
        prompt_end: first target frame, int64 ``(B,)``.
        dropped: bool ``(B, T, Q)``.
        lengths: frames of each example, int64 ``(B,)``.

    Returns:
        bool ``(B, T, Q)``, never True in the prompt or the padding.
    """
    frames = torch.arange(dropped.shape[1], device=dropped.device)
    return dropped & ((frames >= prompt_end[:, None]) & (frames < lengths[:, None]))[:, :, None]


def with_noise(
    codes: Tensor, noise: Tensor, hidden: Tensor, target: Tensor, prompt_end: Tensor, groups: int = 1
) -> Tensor:
    """Codes of which some that a prediction sees at coarser levels are wrong, as in decoding.

    Not the paper's: ChainOfDetails' (2026, arXiv 2604.19330).

    Args:
        codes: ``(B, T, Q)``.
        noise: codes to put in their place ``(B, T, Q)``, -1 for none.
        hidden: what the network does not see, bool ``(B, T, Q)``.
        target: what is predicted, bool ``(B, T, Q)``.
        prompt_end: first target frame ``(B,)``.
        groups: levels of a stage, none of which is coarser than another.

    Returns:
        ``(B, T, Q)``: noise where it is not negative, in visible tokens of target frames at levels coarser
        than the finest that is predicted of the example.
    """
    frames = torch.arange(codes.shape[1], device=codes.device)
    predicted = target.any(1).unflatten(-1, (-1, groups)).any(-1)  # (B, Q / groups)
    coarser = predicted.flip(-1).cumsum(-1).flip(-1) > predicted  # a finer level is predicted
    coarser = coarser.repeat_interleave(groups, dim=-1)
    after_prompt = frames >= prompt_end[:, None]  # (B, T)
    replaced = (noise >= 0) & ~hidden & coarser[:, None, :] & after_prompt[:, :, None]
    return torch.where(replaced, noise, codes)


def masked_after(num_frames: Tensor | int, iteration: int, iterations: int) -> Tensor | int:
    """How many frames stay masked after ``iteration`` (1-based) of ``iterations``: the cosine schedule of
    MaskGIT.

    ``floor(n cos(pi/2 i/N))``, kept strictly falling and none left at the end, so that every iteration
    commits at least one token as long as any is masked. With n < N none are left after n iterations, the last
    of which is then the greedy one.

    Args:
        num_frames: n, frames to fill; an int or an int64 tensor.
        iteration: i.
        iterations: N.
    """
    if isinstance(num_frames, Tensor):
        return torch.tensor(
            [masked_after(int(n), iteration, iterations) for n in num_frames.flatten()],
            dtype=torch.long,
            device=num_frames.device,
        ).reshape(num_frames.shape)
    left = num_frames
    for i in range(1, iteration + 1):
        # 1e-9: cos(pi/3) must not fall on the wrong side of one half
        scheduled = math.floor(num_frames * math.cos(math.pi / 2 * i / iterations) + 1e-9)
        left = 0 if i == iterations else max(0, min(scheduled, left - 1))
    return left
