"""The loss of mask diffusion against loops, and the distribution of its times."""

import numpy as np
import pytest
import torch

from soundstorm.training.mask_diffusion_step import ImportantTimes, MaskDiffusionStep
from tests.models.test_mask_diffusion import LENGTHS, LEVELS, SIZE, STARTS, inputs, small_model


def learned(steps=20):
    """Times whose losses are known, and differ."""
    times = ImportantTimes(steps)
    times.square = torch.linspace(0.1, 5, steps, dtype=torch.float64) ** 2
    times.drawn += 11
    return times


def make_batch():
    semantic, codes, _, starts, lengths = inputs()
    noise = torch.rand(codes.shape, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([0.2, 0.55, 0.97], dtype=torch.float64)
    batch = {"semantic": semantic, "codes": codes % SIZE, "prompt_end": starts, "lengths": lengths}
    return batch | {"noise": noise, "time": time}


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_equals_loops_over_the_cells(training):
    model, batch = small_model(steps=20), make_batch()
    step = MaskDiffusionStep(model.train(training), 0.01)
    step.times = learned()
    chances = learned().chances() if training else torch.full((20,), 1 / 20)
    loss = step.loss("model", step.networks, batch)
    total, cells, limits = 0.0, 0, chances.cumsum(0)
    for b, number in enumerate(batch["time"]):
        t = int((limits <= number * limits[-1]).sum()) + 1
        codes = batch["codes"][b : b + 1]
        noisy = model.chain.noisy(codes, torch.tensor(t), batch["noise"][b : b + 1])
        noisy[:, : STARTS[b]] = codes[:, : STARTS[b]]
        noisy[:, LENGTHS[b] :] = 0  # whatever stands there
        rows = torch.arange(STARTS[b], LENGTHS[b])
        one = slice(b, b + 1)
        prompt_end, lengths = batch["prompt_end"][one], batch["lengths"][one]
        logits = model(batch["semantic"][one], noisy, torch.tensor([t]), prompt_end, lengths, rows)
        log_p = logits.detach().double().log_softmax(-1)
        for frame in rows.tolist():
            for q in range(LEVELS):
                of_cell = log_p[frame - STARTS[b], q]
                x_0, x_t = codes[0, frame, q], noisy[0, frame, q]
                bound = model.chain.divergence(of_cell, x_t, x_0, torch.tensor(t))
                weight = 0.01 * (2 - (t - 1) / 20)
                total += float(bound - weight * of_cell[x_0]) / float(chances[t - 1])
                cells += 1
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-4) and float(loss.weight) == cells


def test_times_are_drawn_by_their_probabilities_so_that_weights_are_unbiased():
    times, count = learned(), 100_000
    drawn, chances = times.draw((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    assert (chances[1:] >= chances[:-1]).all() and chances.min() < chances.max() / 10  # not alike
    assert times.chances()[0] == times.chances()[1] and float(times.chances().sum()) == pytest.approx(1)
    losses = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate = (losses[drawn - 1] / chances).mean()
    assert float(estimate) == pytest.approx(float(losses.sum()), abs=1e-2)


def test_times_are_alike_until_each_was_drawn_more_than_ten_times():
    times = ImportantTimes(4)
    for _ in range(11):
        torch.testing.assert_close(times.chances(), torch.full((4,), 0.25, dtype=torch.float64))
        times.note(torch.tensor([1, 2, 3, 4, 4]), torch.tensor([1.0, 2.0, 3.0, 5.0, float("nan")]))
        times.update()
    expected = np.array([2.0, 2.0, 3.0, 5.0]) * np.sqrt(1 - 0.9**11) + 1e-4
    torch.testing.assert_close(times.chances(), torch.tensor(expected / expected.sum()))
    assert times.drawn.tolist() == [11.0] * 4


def test_a_time_that_is_drawn_twice_takes_the_mean_of_both():
    times = ImportantTimes(2)
    times.note(torch.tensor([2, 2]), torch.tensor([1.0, 3.0]))
    times.update()
    assert times.square.tolist() == pytest.approx([0.0, 0.1 * 5])


def test_only_training_teaches_about_times_and_what_it_taught_is_saved():
    model, batch = small_model(steps=20), make_batch()
    step = MaskDiffusionStep(model, 0.01)
    step.loss("model", step.networks, batch)
    step.after_step(1)
    assert not step.state()["drawn"].any()
    model.train()
    step.loss("model", step.networks, batch)
    step.after_step(2)
    assert step.state()["drawn"].sum() == 3
    other = MaskDiffusionStep(model, 0.01)
    other.load_state(step.state())
    assert torch.equal(other.times.chances(), step.times.chances())
