"""The masks against the definition read aloud, with loops."""


import numpy as np
import pytest
import torch

from soundstorm.data.codebook import levels_of_stage
from soundstorm.models.masking import at_level, coarse_to_fine_mask, grid_mask, masked_after, with_noise


def slow_mask(prompt_end, level, dropped, lengths, num_levels):
    batch, frames = dropped.shape
    hidden = torch.zeros(batch, frames, num_levels, dtype=torch.bool)
    target = torch.zeros(batch, frames, dtype=torch.bool)
    for b in range(batch):
        for t in range(frames):
            if prompt_end[b] <= t < lengths[b]:
                target[b, t] = dropped[b, t]
                hidden[b, t, level[b]] = dropped[b, t]
                for q in range(level[b] + 1, num_levels):
                    hidden[b, t, q] = True
    return hidden, target


@pytest.mark.parametrize("seed", range(20))
def test_the_mask_equals_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    batch, frames, levels = rng.integers(1, 6), rng.integers(1, 12), int(rng.integers(1, 6))
    lengths = torch.tensor(rng.integers(1, frames + 1, batch))
    prompt_end = torch.tensor([int(rng.integers(0, n)) for n in lengths])
    level = torch.tensor(rng.integers(0, levels, batch))
    dropped = torch.tensor(rng.random((batch, frames)) < 0.5)
    fast = coarse_to_fine_mask(prompt_end, level, dropped, lengths, levels)
    slow = slow_mask(prompt_end, level, dropped, lengths, levels)
    assert torch.equal(fast[0], slow[0]) and torch.equal(fast[1], slow[1])


@pytest.mark.parametrize("seed", range(20))
def test_the_mask_of_a_stage_equals_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    batch, frames, stages = rng.integers(1, 6), rng.integers(1, 12), int(rng.integers(1, 4))
    groups = int(rng.integers(1, 4))
    levels = stages * groups
    lengths = torch.tensor(rng.integers(1, frames + 1, batch))
    prompt_end = torch.tensor([int(rng.integers(0, n)) for n in lengths])
    stage = torch.tensor(rng.integers(0, stages, batch))
    dropped = torch.tensor(rng.random((batch, frames, groups)) < 0.5)
    slow_hidden = torch.zeros(batch, frames, levels, dtype=torch.bool)
    slow_target = torch.zeros(batch, frames, groups, dtype=torch.bool)
    for b in range(batch):
        for t in range(int(prompt_end[b]), int(lengths[b])):
            for g, q in enumerate(levels_of_stage(int(stage[b]), groups)):
                slow_target[b, t, g] = slow_hidden[b, t, q] = dropped[b, t, g]
            for finer in range(int(stage[b]) + 1, stages):
                for q in levels_of_stage(finer, groups):
                    slow_hidden[b, t, q] = True
    hidden, target = coarse_to_fine_mask(prompt_end, stage, dropped, lengths, levels)
    assert torch.equal(hidden, slow_hidden) and torch.equal(target, slow_target)
    predicted = at_level(target, stage, levels)
    for b in range(batch):
        for q in range(levels):
            found = target[b, :, q % groups] if q in levels_of_stage(int(stage[b]), groups) else torch.tensor(False)
            assert torch.equal(predicted[b, :, q], found.expand(frames))


def test_a_group_of_its_own_is_a_level():
    rng = np.random.default_rng(0)
    dropped = torch.tensor(rng.random((4, 9)) < 0.5)
    numbers = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 2, 1, 0])
    lengths = torch.tensor([9, 7, 5, 9])
    plain = coarse_to_fine_mask(*numbers, dropped, lengths, 3)
    grouped = coarse_to_fine_mask(*numbers, dropped[:, :, None], lengths, 3)
    assert torch.equal(plain[0], grouped[0]) and torch.equal(plain[1], grouped[1][:, :, 0])


@pytest.mark.parametrize("seed", range(20))
def test_the_mask_over_the_grid_equals_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    batch, frames, levels = rng.integers(1, 6), rng.integers(1, 12), int(rng.integers(1, 6))
    lengths = torch.tensor(rng.integers(1, frames + 1, batch))
    prompt_end = torch.tensor([int(rng.integers(0, n)) for n in lengths])
    dropped = torch.tensor(rng.random((batch, frames, levels)) < 0.5)
    slow = torch.zeros(batch, frames, levels, dtype=torch.bool)
    for b in range(batch):
        for t in range(int(prompt_end[b]), int(lengths[b])):
            slow[b, t] = dropped[b, t]
    assert torch.equal(grid_mask(prompt_end, dropped, lengths), slow)


@pytest.mark.parametrize("seed", range(20))
def test_noise_equals_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    batch, frames, levels = rng.integers(1, 6), rng.integers(1, 12), int(rng.integers(1, 6))
    shape = (batch, frames, levels)
    groups = int(rng.choice([g for g in range(1, levels + 1) if levels % g == 0]))
    codes, noise = torch.tensor(rng.integers(0, 9, shape)), torch.tensor(rng.integers(-1, 9, shape))
    hidden, target = torch.tensor(rng.random(shape) < 0.5), torch.tensor(rng.random(shape) < 0.1)
    prompt_end = torch.tensor(rng.integers(0, frames, batch))
    slow = codes.clone()
    for b in range(batch):
        predicted = [q // groups * groups for q in range(levels) if target[b, :, q].any()]  # a stage is one level
        for t in range(int(prompt_end[b]), frames):
            for q in range(max(predicted, default=0)):
                if noise[b, t, q] >= 0 and not hidden[b, t, q]:
                    slow[b, t, q] = noise[b, t, q]
    assert torch.equal(with_noise(codes, noise, hidden, target, prompt_end, groups), slow)


def test_the_papers_worked_example():
    # Figure 1: four frames, three levels, delimiter 0 (one frame of prompt), second level
    dropped = torch.tensor([[True, True, False, True]])
    hidden, target = coarse_to_fine_mask(torch.tensor([1]), torch.tensor([1]), dropped, torch.tensor([4]), num_levels=3)
    assert hidden[0].T.int().tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 1]]
    assert target[0].tolist() == [False, True, False, True]


def test_the_schedule_of_the_paper_sheet():
    # 1350 frames (27 s after a 3 s prompt) in 16 iterations: tokens committed by each
    left = [1350] + [masked_after(1350, i, 16) for i in range(1, 17)]
    committed = [a - b for a, b in zip(left, left[1:], strict=False)]
    assert committed == [7, 19, 33, 44, 57, 68, 79, 89, 98, 106, 114, 120, 125, 128, 131, 132]


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 17, 300])
@pytest.mark.parametrize("iterations", [1, 2, 3, 8, 16])
def test_each_iteration_commits_at_least_one_token_while_any_is_left(frames, iterations):
    left = frames
    for i in range(1, iterations + 1):
        now = masked_after(frames, i, iterations)
        assert 0 <= now < left or now == left == 0
        left = now
    assert left == 0
    expected = [masked_after(n, 1, iterations) for n in (frames, frames + 1)]
    assert masked_after(torch.tensor([frames, frames + 1]), 1, iterations).tolist() == expected
