"""Schedule, confidence and choice of parallel decoding, each replaced alone (the walk in CONTRIBUTING)."""

import dataclasses

import pytest
import torch

from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.parallel import decode
from soundstorm.decoding.rules import DecodingRules
from tests.decoding.test_parallel import Film, small_model

CONFIG = ParallelConfig(iterations=(5, 1))
LENGTHS = torch.tensor([40, 23])


def run(rules):
    model, film = small_model(), Film()
    semantic = torch.randint(0, model.semantic_size, (2, 40), generator=torch.Generator().manual_seed(3))
    codes = decode(model, semantic, LENGTHS, CONFIG, watch=film, seeds=[1, 2], rules=rules)
    hidden = [hidden[..., 0].sum(1).tolist() for level, _, _, hidden in film.frames if level == 0]
    return codes, hidden


def replaced(**changes):
    return dataclasses.replace(DecodingRules.of(CONFIG), **changes)


def test_without_rules_those_of_the_options_are_used():
    assert torch.equal(run(None)[0], run(DecodingRules.of(CONFIG))[0])


def test_another_schedule_says_how_many_stay_masked():
    def linear(proposal, confidence):
        return proposal.to_fill - proposal.to_fill * proposal.iteration // proposal.iterations

    codes, hidden = run(replaced(schedule=linear))
    assert hidden == [[40, 23], [32, 19], [24, 14], [16, 10], [8, 5]]
    assert not torch.equal(codes, run(None)[0])


def test_another_confidence_says_which_are_committed_first():
    """From left to right, whatever the network thinks: what is known is always a beginning."""
    model, film = small_model(), Film()
    semantic = torch.zeros(1, 30, dtype=torch.long)
    rules = replaced(confidence=lambda: lambda proposal: -proposal.rows.float())
    decode(model, semantic, torch.tensor([30]), CONFIG, watch=film, rules=rules)
    for level, _, _, hidden in film.frames:
        places = hidden[0, :, level].nonzero()[:, 0]
        assert places.tolist() == list(range(30 - len(places), 30))


def test_a_confidence_is_made_anew_for_every_level():
    made = []

    def confidence():
        made.append([])
        return lambda proposal: made[-1].append(proposal.iteration) or proposal.log_probability

    run(replaced(confidence=confidence))
    assert made == [[1, 2, 3, 4], [], []]  # the last pass of a level is greedy


def test_another_choice_commits_other_frames():
    def least_confident(confidence, masked, stay):
        return DecodingRules.of(CONFIG).choice(-confidence, masked, stay)

    codes, hidden = run(replaced(choice=least_confident))
    assert hidden == run(None)[1] and not torch.equal(codes, run(None)[0])


@pytest.mark.parametrize("bound", [0.0, 3.0])
def test_a_bound_only_ever_commits_more(bound):
    rules = DecodingRules.of(dataclasses.replace(CONFIG, entropy_bound=bound))
    assert all(a <= b for found, plain in zip(run(rules)[1], run(None)[1]) for a, b in zip(found, plain))
