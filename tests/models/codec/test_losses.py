import math

import numpy as np
import pytest
import torch

from soundstorm.data.mel import mel_filters
from soundstorm.models.codec.losses import (
    MultiScaleMelLoss,
    discriminator_hinge,
    discriminator_least_squares,
    feature_matching,
    feature_matching_sum,
    generator_hinge,
    generator_least_squares,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mel_with_loops(wav, size, filters, hop=None):
    """Mel magnitudes of one signal by the definition of the discrete Fourier transform."""
    padded = np.pad(wav, size // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = []
    for start in range(0, len(padded) - size + 1, hop or size // 4):
        part = padded[start : start + size] * window
        bins = [abs(sum(part * np.exp(-2j * np.pi * k * np.arange(size) / size))) for k in range(size // 2 + 1)]
        frames.append(np.array(bins) @ filters)
    return np.array(frames).T  # (bands, frames)


def test_paper_loss_equals_slow_loops():
    decoded, target, size = noise(1, 128), noise(1, 128, seed=1), 32
    loss = MultiScaleMelLoss(16000, (size,), "paper")
    filters = mel_filters(16000, size, 64)
    got, wanted = (mel_with_loops(w[0].numpy().astype(float), size, filters) for w in (decoded, target))
    magnitudes, norms = [], []
    for frame in range(got.shape[1]):
        magnitudes.append(np.abs(got[:, frame] - wanted[:, frame]).mean())
        logs = [math.log(max(a, 1e-4)) - math.log(max(b, 1e-4)) for a, b in zip(got[:, frame], wanted[:, frame])]
        norms.append(math.sqrt(sum(x * x for x in logs) / 64))
    value = np.mean(magnitudes) + math.sqrt(size / 2) * np.mean(norms)
    assert float(loss(decoded, target)) == pytest.approx(value, rel=1e-2)


def test_hificodec_loss_equals_slow_loops():
    decoded, target, sizes, rate = noise(1, 640), noise(1, 640, seed=1), (256, 128), 16000
    values = []
    for size in sizes:
        filters = mel_filters(rate, size, 80)
        areas = filters.sum(0) * rate / size  # in Hz; a band that is narrower than a bin may have none
        filters = filters / np.where(areas > 0, areas, 1)
        waves = [wave[0].numpy().astype(float) for wave in (decoded, target)]
        got, wanted = (mel_with_loops(wave, size, filters, size * 15 // 64) for wave in waves)
        values.append(np.abs(np.log(np.maximum(got, 1e-5)) - np.log(np.maximum(wanted, 1e-5))).mean())
    loss = MultiScaleMelLoss(rate, sizes, "hifi")
    assert float(45 * loss(decoded, target)) == pytest.approx(45 * values[0] + values[1], rel=1e-3)


@pytest.mark.parametrize("style", ["paper", "log", "hifi"])
def test_loss_is_zero_for_the_signal_itself_and_grows_with_noise(style):
    loss, wav = MultiScaleMelLoss(16000, (64, 256), style), noise(2, 2000)
    values = [float(loss(wav + level * noise(2, 2000, seed=1), wav)) for level in (0.0, 0.1, 1.0)]
    assert values[0] == pytest.approx(0, abs=5e-3) and values[0] < values[1] < values[2]


def test_noise_far_below_the_floor_does_not_count_in_the_log_loss():
    loss, speech = MultiScaleMelLoss(16000, (64, 256), "log"), noise(1, 2000)
    pause = torch.zeros(1, 2000)
    below = float(loss(1e-4 * noise(1, 2000, seed=1), pause))
    assert below < 0.02 < 0.5 < float(loss(0.1 * speech, speech))


@pytest.mark.parametrize("style", ["paper", "log", "hifi"])
def test_gradient_is_finite_in_silence(style):
    loss, wav = MultiScaleMelLoss(16000, (64, 256), style), torch.zeros(1, 2000, requires_grad=True)
    loss(wav, noise(1, 2000)).backward()
    assert torch.isfinite(wav.grad).all()


def test_hinge_losses_by_hand():
    real, fake = [torch.tensor([2.0, 0.5])], [torch.tensor([-2.0, 0.5])]
    assert float(discriminator_hinge(real, fake)) == pytest.approx(0.25 + 0.75)
    assert float(generator_hinge(fake)) == pytest.approx((3.0 + 0.5) / 2)


def test_least_squares_by_hand():
    real, fake = [torch.tensor([2.0, 1.0]), torch.tensor([0.0])], [torch.tensor([0.0, 0.5]), torch.tensor([1.0])]
    assert float(discriminator_least_squares(real, fake)) == pytest.approx((0.5 + 0.125) + (1 + 1))
    assert float(generator_least_squares(fake)) == pytest.approx((1 + 0.25) / 2 + 0)


def test_the_sum_of_feature_matching_by_hand():
    real = [[torch.tensor([1.0, 3.0]), torch.tensor([1.0])], [torch.tensor([5.0])]]
    fake = [[torch.tensor([0.0, 0.0]), torch.tensor([1.5])], [torch.tensor([1.0])]]
    assert float(feature_matching_sum(real, fake)) == pytest.approx(2 * (2 + 0.5 + 4))


def test_feature_matching_by_hand_and_without_gradient_to_the_real_side():
    real = [[torch.tensor([1.0, 3.0], requires_grad=True)]]
    fake = [[torch.tensor([0.0, 0.0], requires_grad=True)]]
    loss = feature_matching(real, fake)
    loss.backward()
    assert loss.item() == 2.0 and real[0][0].grad is None and fake[0][0].grad is not None
