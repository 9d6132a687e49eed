"""The pointer's bookkeeping."""

import pytest
import torch

from soundstorm.models.pointer import LONGEST_DURATION, Pointer, durations_so_far


def slow_dwell_times(path):
    counts = []
    for t, place in enumerate(path):
        counts.append(counts[-1] + 1 if t and path[t - 1] == place else 1)
    return counts


def test_dwell_times_equal_their_slow_twin():
    generator = torch.Generator().manual_seed(0)
    paths = torch.randint(0, 2, (20, 30), generator=generator).cumsum(1)
    got = durations_so_far(paths)
    assert got.tolist() == [slow_dwell_times(path) for path in paths.tolist()]


def test_a_path_ends_at_the_last_letter_with_the_end_of_the_tokens():
    pointer = make()
    tokens = torch.randint(0, 9, (2, 12), generator=torch.Generator().manual_seed(0))
    text = torch.randint(0, 20, (2, 5), generator=torch.Generator().manual_seed(1))
    scores, path = pointer.align(text, torch.tensor([5, 3]), tokens, torch.tensor([12, 8]), prior=0.3)
    assert scores.shape == (2, 13, 5) and path.shape == (2, 13)
    assert path[0, 12] == 4 and path[1, 8] == 2
    assert (path[:, 0] == 0).all() and set(path.diff(dim=1).flatten().tolist()) <= {0, 1}


def test_a_prefix_has_no_end_and_may_stop_anywhere():
    pointer = make()
    tokens = torch.zeros(1, 3, dtype=torch.int64)
    text = torch.randint(0, 20, (1, 8), generator=torch.Generator().manual_seed(1))
    _, path = pointer.aligner.align(text, torch.tensor([8]), tokens, torch.tensor([3]), open_end=True)
    assert path.shape == (1, 3) and path.max() < 7


@pytest.mark.parametrize("dwell", [LONGEST_DURATION, LONGEST_DURATION + 1, 10_000])
def test_very_long_stays_are_told_apart_no_further(dwell):
    pointer = make()
    memory = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    places = torch.tensor([[2]])
    longest = pointer.input_condition(memory, places, torch.tensor([[LONGEST_DURATION]]))
    assert torch.equal(pointer.input_condition(memory, places, torch.tensor([[dwell]])), longest)


def make():
    torch.manual_seed(0)
    return Pointer(20, 9, 8).eval()
