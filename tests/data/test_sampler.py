"""No utterance lost or repeated in an epoch, whatever the sizes and the number of processes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstorm.data.sampler import BatchSampler

SIZES = st.lists(st.floats(0.1, 40.0), min_size=8, max_size=60)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 4), st.booleans(), st.integers(0, 5))
def test_every_utterance_comes_once_an_epoch_over_all_ranks(durations, world, by_size, epoch):
    limit = {"batch_size": 5} if by_size else {"batch_seconds": 60.0}
    seen, lengths = [], set()
    for rank in range(world):
        sampler = BatchSampler(np.array(durations), **limit, seed=3, rank=rank, world_size=world)
        sampler.epoch = epoch
        batches = list(sampler)
        assert all(batches)  # no rank without work
        lengths.add(len(batches))
        seen += [draw.index for batch in batches for draw in batch]
    assert sorted(seen) == list(range(len(durations)))
    assert len(lengths) == 1


@settings(max_examples=40, deadline=None)
@given(SIZES)
def test_a_batch_has_no_more_seconds_than_asked_unless_one_item_does(durations):
    durations = np.array(durations)
    for batch in BatchSampler(durations, batch_seconds=60.0).global_batches():
        assert len(batch) == 1 or durations[batch].max() * len(batch) <= 60.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.1, 40.0), min_size=30, max_size=90), st.integers(2, 8), st.sampled_from([60.0, 400.0]))
def test_a_batch_of_several_ranks_has_no_more_seconds_unless_each_rank_has_one_item(durations, world, most):
    durations = np.array(durations)
    batches = BatchSampler(durations, batch_seconds=most, world_size=world, shuffle=False).global_batches()
    alone = BatchSampler(durations, batch_seconds=most, shuffle=False).global_batches()
    assert sorted(sum(batches, [])) == list(range(len(durations))) and min(map(len, batches)) >= world
    over = [batch for batch in batches if durations[batch].max() * len(batch) > most and len(batch) > world]
    # Fewer items than one for every rank of one more batch leave no choice.
    assert not over or over == batches[-1:] and len(durations) < world * (len(batches) + 1)
    if len(alone[-1]) >= world and min(map(len, alone)) >= world:
        assert batches == alone


def test_a_batch_of_fewer_items_than_processes_has_one_for_each():
    batches = BatchSampler(np.ones(25), batch_size=2, world_size=6, shuffle=False).global_batches()
    assert [len(batch) for batch in batches] == [6, 6, 6, 7]


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(2, 8), st.booleans())
def test_up_to_so_many_processes_batches_are_no_larger_than_asked(durations, world, by_size):
    limit = {"batch_size": 5} if by_size else {"batch_seconds": 60.0}
    sampler = BatchSampler(np.array(durations), **limit, world_size=world)
    most = sampler.most_processes()
    assert most == 5 if by_size else most == max(1, int(60.0 // max(durations)))
    if world <= most and len(durations) >= 5 * world:
        alone = BatchSampler(np.array(durations), **limit).global_batches()
        if min(map(len, alone)) >= world:
            assert sampler.global_batches() == alone


def test_few_items_left_for_many_ranks_do_not_make_one_batch_of_half_as_much_again():
    for seed in range(40):  # half of these sets had one of up to 600 s
        durations = np.random.default_rng(seed).uniform(5, 30, 1000 + seed)
        batches = BatchSampler(durations, batch_seconds=400.0, world_size=8).global_batches()
        assert max(durations[batch].max() * len(batch) for batch in batches) <= 400


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(2, 4))
def test_ranks_share_the_batches_of_one_process(durations, world):
    def draws(rank, size):
        return list(BatchSampler(np.array(durations), batch_size=7, seed=1, rank=rank, world_size=size))

    # a batch smaller than the number of ranks gets items of the one before; else the same batches, dealt in turn
    if len(durations) % 7 and len(durations) % 7 < world:
        return
    for step, whole in enumerate(draws(0, 1)):
        shares = [draws(rank, world)[step] for rank in range(world)]
        assert sorted(d for share in shares for d in share) == sorted(whole)


def test_epochs_differ_and_repeat():
    sampler = BatchSampler(np.ones(50), batch_size=8, seed=0)
    first = list(sampler)
    assert first == list(sampler)
    sampler.epoch = 1
    second = list(sampler)
    assert [[d.index for d in b] for b in first] != [[d.index for d in b] for b in second]
    assert {d.seed for b in first for d in b}.isdisjoint({d.seed for b in second for d in b})


def test_validation_is_the_same_every_epoch():
    sampler = BatchSampler(np.ones(50), batch_size=8, seed=0, shuffle=False)
    first = list(sampler)
    sampler.epoch = 4
    assert first == list(sampler)


def test_contradictory_settings_are_refused():
    with pytest.raises(ValueError, match="give one of batch_size"):
        BatchSampler(np.ones(5), batch_size=2, batch_seconds=3.0)
    with pytest.raises(ValueError, match="5 utterances cannot be shared by 6 processes"):
        BatchSampler(np.ones(5), batch_size=2, world_size=6)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 4), st.booleans(), st.integers(0, 3), st.data())
def test_a_run_resumed_anywhere_sees_the_rest_of_the_epoch_once(durations, world, by_size, epoch, data):
    """As the trainer does: a new sampler on every rank, and as many batches skipped as were used."""
    limit = {"batch_size": 5} if by_size else {"batch_seconds": 60.0}

    def open_sampler(rank):
        sampler = BatchSampler(np.array(durations), **limit, seed=3, rank=rank, world_size=world)
        sampler.epoch = epoch
        return list(sampler)

    used = data.draw(st.integers(0, len(open_sampler(0))))
    before = [draw for rank in range(world) for batch in open_sampler(rank)[:used] for draw in batch]
    after = [draw for rank in range(world) for batch in open_sampler(rank)[used:] for draw in batch]
    assert sorted(draw.index for draw in before + after) == list(range(len(durations)))
    assert len({draw.seed for draw in before + after}) == len(durations)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(1, 3), st.booleans(), st.data())
def test_an_epoch_may_begin_at_any_of_its_batches(durations, world, by_size, data):
    limit = {"batch_size": 3} if by_size else {"batch_seconds": 50.0}
    sampler = BatchSampler(np.array(durations), **limit, rank=world - 1, world_size=world)
    whole = list(sampler)
    sampler.first_batch = data.draw(st.integers(0, len(whole)))
    assert list(sampler) == whole[sampler.first_batch :]
    assert len(sampler) == len(whole) - sampler.first_batch


def test_order_lengths_of_windows_and_items_are_drawn_from_streams_of_their_own(monkeypatch):
    states, make = [], np.random.default_rng

    def noted(seed):
        states.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
        return make(seed)

    monkeypatch.setattr(np.random, "default_rng", noted)
    sampler = BatchSampler(np.ones(5), batch_size=8, drawn_seconds=lambda shares: shares)
    (batch,) = sampler
    for draw in batch:
        np.random.default_rng(draw.seed)
    assert len(states) == len(set(states)) == 2 + 5
