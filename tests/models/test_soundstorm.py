"""SoundStorm's network and loss: size, what is computed, what is learned from."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from soundstorm.data.datasets.dataset_configs import MaskingConfig
from soundstorm.data.datasets.masked_tokens_dataset import draw_mask_numbers
from soundstorm.models.conformer import Conformer
from soundstorm.models.masking import coarse_to_fine_mask
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.training.soundstorm_step import SoundStormStep

SMALL = SoundStormConfig(layers=2, width=16, heads=2, inner=32, kernel=3, dropout=0.0)


def make_model(num_levels=3, groups=1):
    torch.manual_seed(0)
    return SoundStorm(SMALL, num_levels=num_levels, codebook_size=11, semantic_size=7, groups=groups)


def make_lively_model(**sizes):
    """A fresh model says the same of everything: its branches and heads start as zeros."""
    model = make_model(**sizes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def make_batch(lengths=(12, 9, 5, 7), num_levels=3, seed=0):
    rng = np.random.default_rng(seed)
    draws = [draw_mask_numbers(n, num_levels, rng) for n in lengths]
    dropped = torch.zeros(len(lengths), max(lengths), dtype=torch.bool)
    for row, draw in enumerate(draws):
        dropped[row, : lengths[row]] = torch.tensor(draw.dropped)
    return {
        "semantic": torch.tensor(rng.integers(0, 7, (len(lengths), max(lengths)))),
        "codes": torch.tensor(rng.integers(0, 11, (len(lengths), max(lengths), num_levels))),
        "lengths": torch.tensor(lengths),
        "prompt_end": torch.tensor([d.prompt_end for d in draws]),
        "level": torch.tensor([d.level for d in draws]),
        "dropped": dropped,
    }


def test_the_papers_model_has_350_million_parameters():
    with torch.device("meta"):
        model = SoundStorm(SoundStormConfig(), num_levels=12, codebook_size=1024, semantic_size=1024)
    assert sum(p.numel() for p in model.parameters()) == 353_947_648


def test_the_input_is_the_sum_of_a_frames_embeddings():
    model, batch = make_model(), make_batch()
    hidden, _ = coarse_to_fine_mask(batch["prompt_end"], batch["level"], batch["dropped"], batch["lengths"], 3)
    seen = []
    model.conformer.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    model.encode(batch["semantic"], batch["codes"], hidden, batch["lengths"])
    for b in range(4):
        for t in range(int(batch["lengths"][b])):
            expected = model.semantic.weight[batch["semantic"][b, t]].clone()
            for q in range(3):
                row = 11 if hidden[b, t, q] else int(batch["codes"][b, t, q])
                expected += model.acoustic.weight[q * 12 + row]
            torch.testing.assert_close(seen[0][b, t], expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_cross_entropy_of_masked_tokens_of_the_level_by_loops(seed):
    model, batch = make_lively_model(), make_batch(seed=seed)
    step = SoundStormStep(model)
    loss = step.loss("model", step.networks, batch)
    hidden, _ = coarse_to_fine_mask(batch["prompt_end"], batch["level"], batch["dropped"], batch["lengths"], 3)
    features = model.encode(batch["semantic"], batch["codes"], hidden, batch["lengths"]).detach()
    total, count = 0.0, 0
    for b, length in enumerate(batch["lengths"].tolist()):
        level = int(batch["level"][b])
        for t in range(int(batch["prompt_end"][b]), length):
            if batch["dropped"][b, t]:
                logits = model.level_logits(features[b, t], level).detach()
                total += float(F.cross_entropy(logits, batch["codes"][b, t, level]))
                count += 1
    assert loss.weight == count > 0
    assert float(loss.total) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("kind, of_level", [("uniform", (1, 1, 1)), ("linear", (1.5, 1, 0.5))])
def test_the_loss_over_the_grid_is_the_weighted_cross_entropy_by_loops(kind, of_level):
    model, batch = make_lively_model(), make_batch(seed=1)
    rng = np.random.default_rng(5)
    batch["cells"] = torch.tensor(rng.random(batch["codes"].shape) < 0.4)
    batch["is_grid"] = torch.tensor([True, False, True, False])
    step = SoundStormStep(model, MaskingConfig(grid=0.5, grid_weights=kind))
    loss = step.loss("model", step.networks, batch)
    hidden = slow_hidden(batch)
    features = model.encode(batch["semantic"], batch["codes"], hidden, batch["lengths"]).detach()
    total, weights, count = 0.0, 0.0, 0
    for b, length in enumerate(batch["lengths"].tolist()):
        is_grid = bool(batch["is_grid"][b])
        for t in range(int(batch["prompt_end"][b]), length):
            for q in range(3):
                wanted = batch["cells"][b, t, q] if is_grid else batch["dropped"][b, t] and q == batch["level"][b]
                if wanted:
                    logits = model.level_logits(features[b, t], q).detach()
                    weight = of_level[q] / 3 if is_grid else 1.0
                    total += weight * float(F.cross_entropy(logits, batch["codes"][b, t, q]))
                    weights, count = weights + weight, count + 1
    assert float(loss.weight) == pytest.approx(weights)
    assert float(loss.total) == pytest.approx(total, rel=1e-4)
    assert sum(n for name, (_, n) in loss.metrics.items() if name.startswith("accuracy/")) == count


@pytest.mark.parametrize("is_grid", [False, True])
def test_the_loss_of_a_stage_is_that_of_its_groups_by_loops(is_grid):
    model, batch, rng = make_lively_model(num_levels=4, groups=2), make_batch(num_levels=4), np.random.default_rng(5)
    batch["level"] = torch.tensor([0, 1, 1, 0])  # stages
    batch["dropped"] = torch.tensor(rng.random((4, 12, 2)) < 0.5)
    if is_grid:
        batch["cells"] = torch.tensor(rng.random(batch["codes"].shape) < 0.4)
        batch["is_grid"] = torch.ones(4, dtype=torch.bool)
    step = SoundStormStep(model, MaskingConfig(grid_weights="linear"))
    loss = step.loss("model", step.networks, batch)
    hidden, target = (torch.zeros(batch["codes"].shape, dtype=torch.bool) for _ in range(2))
    for b, length in enumerate(batch["lengths"].tolist()):
        for t in range(int(batch["prompt_end"][b]), length):
            for q in range(4):
                stage, group = divmod(q, 2)
                of_stage = stage == batch["level"][b] and batch["dropped"][b, t, group]
                target[b, t, q] = batch["cells"][b, t, q] if is_grid else of_stage
                hidden[b, t, q] = target[b, t, q] or (not is_grid and stage > batch["level"][b])
    features = model.encode(batch["semantic"], batch["codes"], hidden, batch["lengths"]).detach()
    total, weights = 0.0, 0.0
    for b, t, q in target.nonzero().tolist():
        weight = (4 / 3, 4 / 3, 2 / 3, 2 / 3)[q] / 4 if is_grid else 1.0
        logits = model.level_logits(features[b, t], q).detach()
        total += weight * float(F.cross_entropy(logits, batch["codes"][b, t, q]))
        weights += weight
    assert float(loss.weight) == pytest.approx(weights)
    assert float(loss.total) == pytest.approx(total, rel=1e-4)


def test_noise_changes_what_is_seen_and_not_what_is_predicted():
    model, batch = make_lively_model(), make_batch(seed=2)
    batch["level"] = torch.full((4,), 2)
    seen = []
    model.encode = lambda *args, run=model.encode: seen.append(args) or run(*args)
    step = SoundStormStep(model)
    clean = step.loss("model", step.networks, batch)
    noisy = step.loss("model", step.networks, {**batch, "noise": torch.full_like(batch["codes"], 10)})
    (_, before, hidden, *_), (_, after, *_) = seen
    for b, length in enumerate(batch["lengths"].tolist()):
        start = int(batch["prompt_end"][b])
        assert torch.equal(after[b, :start], before[b, :start]) and (after[b, start:length, :2] == 10).all()
        assert torch.equal(after[b, start:, 2], before[b, start:, 2])
    assert noisy.weight == clean.weight and float(noisy.total) != pytest.approx(float(clean.total), rel=1e-3)


def slow_hidden(batch):
    hidden = torch.zeros(batch["codes"].shape, dtype=torch.bool)
    for b, length in enumerate(batch["lengths"].tolist()):
        for t in range(int(batch["prompt_end"][b]), length):
            for q in range(3):
                if batch["is_grid"][b]:
                    hidden[b, t, q] = batch["cells"][b, t, q]
                else:
                    level = batch["level"][b]
                    hidden[b, t, q] = q > level or (q == level and batch["dropped"][b, t])
    return hidden


def test_nothing_that_is_hidden_or_padded_reaches_the_loss():
    model, batch = make_lively_model(), make_batch()
    step = SoundStormStep(model)
    before = float(step.loss("model", step.networks, batch).total)
    hidden, target = coarse_to_fine_mask(batch["prompt_end"], batch["level"], batch["dropped"], batch["lengths"], 3)
    aim = torch.zeros_like(hidden)
    aim.scatter_(2, batch["level"][:, None, None].expand(-1, hidden.shape[1], 1), target[..., None])
    inside = (torch.arange(12) < batch["lengths"][:, None])[..., None]
    changeable = (hidden & ~aim) | ~inside
    batch["codes"] = torch.where(changeable, (batch["codes"] + 5) % 11, batch["codes"])
    batch["semantic"] = torch.where(inside[..., 0], batch["semantic"], (batch["semantic"] + 3) % 7)
    assert changeable.any()
    assert float(step.loss("model", step.networks, batch).total) == pytest.approx(before, rel=1e-5)
    seen = ~hidden & inside
    batch["codes"] = torch.where(seen, (batch["codes"] + 5) % 11, batch["codes"])
    assert float(step.loss("model", step.networks, batch).total) != pytest.approx(before, rel=1e-3)


def test_every_parameter_gets_a_gradient_key_even_if_its_level_is_not_drawn():
    model, batch = make_model(), make_batch()
    batch["level"] = torch.zeros(4, dtype=torch.long)
    step = SoundStormStep(model)
    step.loss("model", step.networks, batch).total.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.heads[0].weight.grad.abs().sum() > 0 and not model.heads[2].weight.grad.any()


def test_a_stored_batch_is_learned_by_heart():
    model, batch = make_model(), make_batch()
    step, optimizer = SoundStormStep(model), torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = step.loss("model", step.networks, batch)
        (loss.total / loss.weight).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(loss.total) / loss.weight < 0.01
    right, count = loss.metrics["accuracy"]
    assert right == count == loss.weight


@pytest.mark.parametrize("dim", [8, 16, 40])
def test_a_start_from_codebooks_keeps_what_sounds_alike_alike(dim):
    model, generator = make_model(), torch.Generator().manual_seed(0)
    codebooks = torch.randn(3, 11, dim, generator=generator) * torch.tensor([5.0, 1.0, 0.2])[:, None, None]
    codebooks[1, 4] = codebooks[1, 7] + 0.01
    model.start_from_codebooks(codebooks)
    embeddings, heads = model.acoustic.weight.view(3, 12, 16)[1, :11], model.heads[1].weight
    for rows in (embeddings, heads):
        distances = torch.cdist(rows, rows) + 1e9 * torch.eye(11)
        assert int(distances.argmin()) in (4 * 11 + 7, 7 * 11 + 4)
    with pytest.raises(ValueError, match="the codec has 2 codebooks of 11 codes, SoundStorm 3 of 11"):
        model.start_from_codebooks(codebooks[:2])


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"model.width is 10, expected model.heads \(4\) times an even number"):
        SoundStormConfig(width=10, heads=4)
    with pytest.raises(ValueError, match="model.kernel is 4, expected an odd number"):
        SoundStormConfig(layers=1, width=8, heads=2, kernel=4)
    sizes = {"layers": 1, "inner": 8, "expansion": 1, "dropout": 0.0}
    with pytest.raises(ValueError, match="width 10 must be 4 heads times an even number"):
        Conformer(width=10, heads=4, kernel=3, **sizes)
    with pytest.raises(ValueError, match="kernel 4 must be odd"):
        Conformer(width=8, heads=2, kernel=4, **sizes)


@pytest.mark.parametrize("vectors", [torch.full((1, 11, 5), 0.3), torch.full((1, 11, 5), float("nan"))])
def test_a_codec_with_a_constant_codebook_is_named_as_such(vectors):
    codebooks = torch.randn(3, 11, 5, generator=torch.Generator().manual_seed(0))
    vectors = vectors + 1e-8 * torch.randn(1, 11, 5, generator=torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="codebook of level 2 are alike: .* init.codebooks"):
        make_model().start_from_codebooks(torch.cat([codebooks[:1], vectors, codebooks[2:]]))
