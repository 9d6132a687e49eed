"""How long the pointer stays at a letter, given the model's probability of going on."""

import types

import pytest
import torch

from soundstorm.decoding.pointer_path import PointerPath, prompt_places
from soundstorm.models.pointer import Pointer, durations_so_far


def walk_with(hazard, uniforms, *, letters=4, temperature=1.0, forced=None):
    """A path under a model whose probability of going on is always ``hazard``; all places ``(B, T)``."""
    batch, frames = uniforms.shape
    logit = torch.logit(torch.tensor(hazard))
    pointer = types.SimpleNamespace(advance_logits=lambda hidden: logit.expand(hidden.shape[:2]))
    forced = torch.full((batch, frames), -1) if forced is None else forced
    model = types.SimpleNamespace(pointer=pointer)
    path = PointerPath(model, torch.full((batch,), letters), uniforms, temperature, forced)
    rows = torch.arange(batch)
    places = torch.stack([path.advance(rows, frame, torch.zeros(batch, 1, 1)) for frame in range(frames)], dim=1)
    return places, path


def test_sampled_stays_are_as_long_as_the_model_says():
    uniforms = torch.rand(4000, 40, generator=torch.Generator().manual_seed(0))
    places, _ = walk_with(0.3, uniforms, letters=2)
    stays = (places == 0).sum(1).float() - 1  # the first frame is always there
    assert stays.mean().item() == pytest.approx(0.7 / 0.3, rel=0.05)
    for length in range(4):
        assert (stays == length).float().mean().item() == pytest.approx(0.3 * 0.7**length, abs=0.03)


@pytest.mark.parametrize("hazard, stay", [(0.6, 1), (0.3, 2), (0.1, 7)])
def test_greedy_stays_are_medians(hazard, stay):
    places, _ = walk_with(hazard, torch.rand(1, 40), letters=3, temperature=0.0)
    assert (1 - hazard) ** stay < 0.5 <= (1 - hazard) ** (stay - 1)
    assert torch.bincount(places[0])[:2].tolist() == [stay, stay]


def test_the_pointer_goes_one_letter_at_a_time_and_stops_at_the_last():
    uniforms = torch.rand(50, 60, generator=torch.Generator().manual_seed(0))
    places, _ = walk_with(0.5, uniforms)
    assert set(places.diff(dim=1).flatten().tolist()) == {0, 1}
    assert places.max() == 3


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_end_comes_at_the_last_letter_only_and_as_often_as_likely(temperature):
    batch, frames = 3000, 40
    uniforms = torch.rand(batch, frames, generator=torch.Generator().manual_seed(0))
    _, path = walk_with(0.9, uniforms[:, :1], letters=1, temperature=temperature)
    path.places = torch.zeros(batch, frames + 1, dtype=torch.int64)
    rows, chance = torch.arange(batch), torch.full((batch,), 0.25)
    ends = torch.stack([path.ends(rows, frame, chance) for frame in range(frames)], dim=1)
    first = ends.int().argmax(1).float()
    if temperature:
        assert first.mean().item() == pytest.approx(0.75 / 0.25, rel=0.06)
    else:
        assert (first == 2).all()  # 0.75 cubed is the first power below one half
    path.last += 1
    assert not path.ends(rows, 0, torch.ones(batch)).any()


def test_dwells_count_frames_at_the_place():
    uniforms = torch.rand(20, 30, generator=torch.Generator().manual_seed(0))
    places, path = walk_with(0.4, uniforms)
    before, spent = path.inputs(torch.arange(20), 1, 30)
    assert torch.equal(before, places) and torch.equal(spent, durations_so_far(places))


def test_prompt_frames_are_where_they_were_found():
    forced = torch.full((2, 10), -1)
    forced[0, :5] = torch.tensor([0, 0, 1, 1, 2])
    places, path = walk_with(0.5, torch.rand(2, 10, generator=torch.Generator().manual_seed(0)), forced=forced)
    assert places[0, :5].tolist() == [0, 0, 1, 1, 2]
    assert (places[0, 5:] >= 2).all()
    assert torch.equal(path.inputs(torch.tensor([0]), 1, 10)[1], durations_so_far(places[:1]))


def test_a_prompt_of_known_words_ends_at_the_last_of_them():
    torch.manual_seed(0)
    pointer = Pointer(9, 5, 8)  # it has learnt nothing: without the words any letter will do
    text, forced = torch.randint(1, 9, (2, 12)), torch.full((2, 10), -1)
    forced[0, :8], forced[1, :3] = 1, 2
    model, lengths = types.SimpleNamespace(pointer=pointer), torch.tensor([12, 12])
    places = prompt_places(model, text, lengths, forced, [4, 7])
    assert places[0, 7] == 3 and set(places[0, :8].diff().tolist()) <= {0, 1}
    assert places[1].tolist() == [0, 1, 2] + [-1] * 7  # as far as three frames go
    with torch.no_grad():
        pointer.aligner.emit.weight.normal_()
    free = prompt_places(model, text, lengths, forced)
    torch.testing.assert_close(prompt_places(model, text, lengths, forced, (free[:, [7, 2]].diag() + 1).tolist()), free)


def test_no_prompt_has_no_places():
    forced = torch.full((3, 4), -1)
    places = prompt_places(None, torch.zeros(3, 5), torch.tensor([5, 5, 5]), forced)
    assert torch.equal(places, forced)
