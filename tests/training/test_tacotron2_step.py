"""Tacotron 2's losses against loops, that both networks learn a batch by heart, and go on after an interrupt."""

import math

import pytest
import torch
import torch.nn.functional as F

from soundstorm.data.sampler import SeededIndex
from soundstorm.models.logistic_mixture import log_likelihood, quantize
from soundstorm.models.tacotron2_config import Tacotron2LossConfig
from soundstorm.training.tacotron2_step import Tacotron2Step
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig
from tests.training.models import tacotron2_features, tacotron2_wavenet, write_data

pytest.importorskip("espnet2", reason="ESPnet is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def batch_of(dataset, count=3):
    return dataset.collate([dataset[SeededIndex(index, (0, 0, index))] for index in range(count)])


def test_the_loss_of_a_batch_is_the_sum_over_its_frames_by_loops(data):
    torch.manual_seed(0)
    made, dataset = tacotron2_features(data, dropout=0.0)
    config = Tacotron2LossConfig(guided_attention=2.0, guided_width=0.3, stop_weight=4.0)
    step, model = Tacotron2Step(made.networks["model"].eval(), config), made.networks["model"]
    batch = batch_of(dataset)
    with torch.no_grad():
        loss = step.loss("model", step.networks, batch)
    total = frames_in_all = 0
    for row in range(3):
        length, text = int(batch["lengths"][row]), int(batch["text_lengths"][row])
        frames = batch["features"][row : row + 1, :length]
        with torch.no_grad():
            out = model(
                batch["text"][row : row + 1, :text], batch["text_lengths"][row : row + 1], frames,
                batch["lengths"][row : row + 1], batch["speakers"][row : row + 1],
            )  # fmt: skip
        total += float(F.mse_loss(out.before, frames) + F.mse_loss(out.after, frames)) * length
        for number in range(length // 2):
            last = number == length // 2 - 1
            stop = float(out.stops[0, number])
            total += 2 * (4.0 * math.log1p(math.exp(-stop)) if last else math.log1p(math.exp(stop)))
            for character in range(text):
                far = character / text - number / (length // 2)
                penalty = 1 - math.exp(-(far**2) / (2 * 0.3**2))
                total += 2 * 2.0 * float(out.attention[0, number, character]) * penalty
        frames_in_all += length
    assert float(loss.weight) == frames_in_all
    assert float(loss.total) == pytest.approx(total, rel=1e-4)
    assert {"focus_rate", "coverage", "diagonal", "stop_errors"} <= set(loss.metrics)


def test_wavenets_loss_is_the_likelihood_of_the_recordings_levels(data):
    torch.manual_seed(0)
    step, dataset = tacotron2_wavenet(data, dropout=0.0)
    batch, model = batch_of(dataset), step.networks["model"]
    loss = step.loss("model", step.networks, batch)
    levels = quantize(batch["wav"])
    wanted = -log_likelihood(model(levels, batch["features"]), levels).mean()
    assert float((loss.total / loss.weight).detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)


@pytest.mark.parametrize("make, share", [(tacotron2_features, 0.5), (tacotron2_wavenet, 0.8)])
def test_a_batch_is_learned(make, share, data):
    torch.manual_seed(0)
    step, dataset = make(data, dropout=0.0)
    network, batch = step.networks["model"].train(), batch_of(dataset)
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=0.02), []
    for _ in range(40):
        loss = step.loss("model", step.networks, batch)
        losses.append(float((loss.total / loss.weight).detach()))
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    assert losses[-1] < share * losses[0]


@pytest.mark.parametrize("make", [tacotron2_features, tacotron2_wavenet])
def test_a_training_goes_on_after_an_interrupt_bit_for_bit(make, data, tmp_path):
    settings = TrainerConfig(max_steps=4, batch_size=3, warmup_steps=0, ema_decay=0.9, valid_every=4, save_every=4)

    def run(name, *parts):
        for stop in parts:
            torch.manual_seed(0)
            step, dataset = make(data, dropout=0.3)
            (tmp_path / name).mkdir(exist_ok=True)
            train(step, dataset, dataset, settings, tmp_path / name, stop_after=stop)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert run("straight", None) == run("cut", 2, None)
