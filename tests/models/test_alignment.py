"""Alignment of letters and frames, against enumerations of all paths."""

import itertools

import pytest
import torch

from soundstorm.models.alignment import (
    Aligner,
    LocalConvolution,
    diagonal_prior,
    emission_loss,
    monotonic_path,
)


def random_scores(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def all_paths(frames, letters, open_end=False):
    """Places that start at 0 and stay or go one on, ending at the last letter or anywhere."""
    for moves in itertools.product([0, 1], repeat=frames - 1):
        path = [0, *itertools.accumulate(moves)]
        if path[-1] < letters and (open_end or path[-1] == letters - 1):
            yield path


def best_path(scores, open_end=False):
    frames, letters = scores.shape

    def total(path):
        return sum(float(scores[t, place]) for t, place in enumerate(path))

    return max(all_paths(frames, letters, open_end), key=total)


@pytest.mark.parametrize("frames, letters", [(1, 1), (5, 5), (7, 3), (8, 1), (9, 4)])
@pytest.mark.parametrize("open_end", [False, True])
def test_the_path_is_the_best_of_all(frames, letters, open_end):
    for seed in range(5):
        scores = random_scores(1, frames, letters, seed=seed)
        path = monotonic_path(scores, torch.tensor([frames]), torch.tensor([letters]), open_end=open_end)
        assert path[0].tolist() == best_path(scores[0], open_end)


@pytest.mark.parametrize("open_end", [False, True])
def test_a_padded_path_is_the_path_alone(open_end):
    sizes = [(9, 4), (5, 5), (7, 2)]
    scores = random_scores(3, 9, 5)
    lengths, text_lengths = (torch.tensor(values) for values in zip(*sizes))
    together = monotonic_path(scores, lengths, text_lengths, open_end=open_end)
    for row, (frames, letters) in enumerate(sizes):
        assert together[row, :frames].tolist() == best_path(scores[row, :frames, :letters], open_end)
        assert (together[row, frames:] == together[row, frames - 1]).all()


def test_more_letters_than_frames_are_read_as_far_as_possible():
    path = monotonic_path(random_scores(1, 3, 6), torch.tensor([3]), torch.tensor([6]))
    assert path.tolist() == [[0, 1, 2]]


def enumerated_likelihood(scores):
    """Log of the summed likelihood of all monotonic paths, path by path."""
    totals = [
        torch.stack([scores[t, place] for t, place in enumerate(path)]).sum() for path in all_paths(*scores.shape)
    ]
    return torch.stack(totals).logsumexp(0)


@pytest.mark.parametrize("prior", [0.0, 0.2])
def test_the_emission_loss_and_its_gradient_are_those_of_all_paths(prior):
    sizes = [(7, 4), (5, 3), (6, 6)]
    scores = (random_scores(3, 7, 6) - 3).requires_grad_()
    lengths, text_lengths = (torch.tensor(values) for values in zip(*sizes))
    padded = scores.masked_fill(torch.arange(6) >= text_lengths[:, None, None], float("-inf"))
    loss = emission_loss(padded, lengths, text_lengths, prior=prior)
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    for row, (frames, letters) in enumerate(sizes):
        alone = scores[row, :frames, :letters]
        if prior:
            pace = diagonal_prior(7, 6, lengths, text_lengths, width=prior)
            alone = alone + pace[row, :frames, :letters]
        wanted = -enumerated_likelihood(alone)
        assert loss[row].item() == pytest.approx(wanted.item(), abs=1e-4)
        (expected,) = torch.autograd.grad(wanted, scores, retain_graph=True)
        assert torch.allclose(gradient[row], expected[row], atol=1e-5)


def test_the_emission_loss_has_its_value_without_gradients():
    scores = random_scores(1, 6, 3)
    sizes = torch.tensor([6]), torch.tensor([3])
    with torch.no_grad():
        without = emission_loss(scores, *sizes, prior=0.1)
    assert torch.equal(without, emission_loss(scores.requires_grad_(), *sizes, prior=0.1).detach())


def test_too_few_frames_to_emit_all_letters_cost_nothing():
    scores = random_scores(1, 2, 5).requires_grad_()
    loss = emission_loss(scores, torch.tensor([2]), torch.tensor([5]), prior=0.0)
    loss.sum().backward()
    assert loss.item() == 0 and not scores.grad.any()


def test_the_prior_is_highest_on_the_diagonal():
    prior = diagonal_prior(20, 10, torch.tensor([20, 10]), torch.tensor([10, 5]), width=0.2)
    assert (prior[0].argmax(-1) - torch.arange(20) / 2).abs().max() <= 0.5
    assert torch.allclose(prior[1, :10, :5], diagonal_prior(10, 5, torch.tensor([10]), torch.tensor([5]), width=0.2)[0])


def test_convolution_by_windows_is_convolution():
    torch.manual_seed(0)
    layer = LocalConvolution(6)
    x = torch.randn(2, 9, 6)
    exists = torch.arange(9) < torch.tensor([[9], [7]])
    weight = layer.mix.weight.view(6, 5, 6).permute(0, 2, 1)
    masked = (layer.norm(x) * exists[..., None]).transpose(1, 2)
    wanted = torch.nn.functional.conv1d(masked, weight, layer.mix.bias, padding=2).transpose(1, 2)
    assert torch.allclose(layer(x, exists), x + torch.nn.functional.gelu(wanted), atol=1e-5)


def test_an_untrained_aligner_keeps_an_even_pace():
    aligner = Aligner(7, 7, dim=16)
    text, tokens = torch.arange(1, 7)[None], torch.zeros(1, 24, dtype=torch.int64)
    scores = aligner(text, torch.ones(1, 6, dtype=torch.bool), tokens)
    sizes = torch.tensor([24]), torch.tensor([6])
    path = monotonic_path(scores + diagonal_prior(24, 6, *sizes, width=0.1), *sizes)
    assert (path[0] - torch.arange(24) / 4).abs().max() <= 1


def test_the_aligner_finds_who_belongs_to_whom():
    """Letters 1 to 6 are spoken as tokens 1 to 6, three to seven frames each; nobody says so."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    aligner = Aligner(7, 7, dim=16)
    optimizer = torch.optim.Adam(aligner.parameters(), lr=2e-2)
    text_lengths = torch.full((8,), 6)

    def batch():
        texts = torch.stack([torch.randperm(6, generator=generator) + 1 for _ in range(8)])
        spans = torch.randint(3, 8, texts.shape, generator=generator)
        lengths = spans.sum(1)
        truth = torch.zeros(8, int(lengths.max()), dtype=torch.int64)
        for row in range(8):
            truth[row, : lengths[row]] = torch.repeat_interleave(torch.arange(6), spans[row])
        tokens = texts.gather(1, truth)
        return aligner(texts, torch.ones_like(texts, dtype=torch.bool), tokens), lengths, truth

    for _ in range(30):
        scores, lengths, _ = batch()
        optimizer.zero_grad()
        emission_loss(scores, lengths, text_lengths, prior=0.1).mean().backward()
        optimizer.step()
    scores, lengths, truth = batch()
    path = monotonic_path(scores, lengths, text_lengths)
    inside = torch.arange(path.shape[1]) < lengths[:, None]
    assert (path == truth)[inside].float().mean() > 0.9
