"""WaveNet: likelihood, causality, receptive field, generation, crops."""

import math

import numpy as np
import pytest
import torch

from soundstorm.data.errors import InputError
from soundstorm.models.logistic_mixture import LEVELS, MIN_LOG_SCALE, SCALE, draw, log_likelihood, quantize
from soundstorm.models.tacotron2_config import WaveNetConfig
from soundstorm.models.wavenet import CONTEXT, WaveNet, with_context
from soundstorm.models.wavenet_generation import generate

SMALL = WaveNetConfig(
    layers=6, cycles=2, kernel=3, residual=6, gate=8, skip=5, mixtures=2, upsampling=(2, 3), crop_frames=4
)
MELS = 4


def build(config=SMALL, seed=0):
    torch.manual_seed(seed)
    return WaveNet(config, MELS).eval()


def slow_log_likelihood(logits, means, scales, number):
    """From the distribution function in float64; the outermost levels take the tails."""
    weights = np.exp(logits - np.max(logits))
    weights /= weights.sum()
    level = 2 * number / (LEVELS - 1) - 1
    total = 0.0
    for weight, mean, scale in zip(weights, means, scales):
        def cdf(value, mean=mean, scale=scale):
            argument = (SCALE * value - mean) / scale
            return 1 / (1 + math.exp(-argument)) if argument > -700 else 0.0

        low = 0.0 if number == 0 else cdf(level - 1 / (LEVELS - 1))
        high = 1.0 if number == LEVELS - 1 else cdf(level + 1 / (LEVELS - 1))
        total += weight * (high - low)
    return math.log(total)


@pytest.mark.parametrize("number", [0, 1, 1000, 32768, 40000, LEVELS - 2, LEVELS - 1])
def test_the_likelihood_equals_its_slow_twin(number):
    rng = np.random.default_rng(number)
    near = SCALE * (2 * number / (LEVELS - 1) - 1)
    for spread in (0.02, 1.0, 30.0):
        logits, means = rng.normal(size=3), near + spread * rng.normal(size=3)
        log_scales = math.log(spread) + 0.3 * rng.normal(size=3)
        parameters = torch.tensor([*logits, *means, *log_scales], dtype=torch.float32)
        level = torch.tensor(2 * number / (LEVELS - 1) - 1, dtype=torch.float32)
        rounded = parameters.double().numpy()
        wanted = slow_log_likelihood(rounded[:3], rounded[3:6], np.exp(rounded[6:]), number)
        assert float(log_likelihood(parameters, level)) == pytest.approx(wanted, rel=1e-3, abs=2e-3)


@pytest.mark.parametrize("mean, log_scale", [(0.0, 0.0), (127.0, 1.0), (-140.0, 2.0), (3.0, -20.0)])
def test_probabilities_of_all_levels_sum_to_one(mean, log_scale):
    levels = torch.arange(LEVELS) * (2 / (LEVELS - 1)) - 1
    parameters = torch.tensor([0.0, 0.0, mean, mean, log_scale, log_scale]).expand(LEVELS, 6)
    total = log_likelihood(parameters, levels).double().exp().sum()
    assert float(total) == pytest.approx(1.0, abs=2e-3)


def test_far_in_the_tails_value_and_gradient_stay_finite_and_say_where_to_go():
    parameters = torch.tensor([0.0, 100.0, -30.0], requires_grad=True)
    value = log_likelihood(parameters, torch.tensor(-0.9))
    value.backward()
    assert value.isfinite() and parameters.grad.isfinite().all()
    assert parameters.grad[1] < 0  # the mean is too high
    scale = math.exp(MIN_LOG_SCALE)
    assert value.item() == pytest.approx(-(100 + 0.9 * SCALE) / scale, rel=0.01)


def test_sixteen_bit_samples_keep_their_levels():
    numbers = torch.tensor([-32768, -32767, -1, 0, 1, 32767])
    levels = quantize(numbers / 32768)
    assert torch.equal(((levels + 1) * (LEVELS - 1) / 2).round().long() - 32768, numbers)
    assert quantize(torch.tensor([1.0, 1.5, -2.0])).tolist() == pytest.approx([1.0, 1.0, -1.0])


def test_samples_have_the_distribution_of_the_mixture():
    parameters = torch.tensor([math.log(0.25), math.log(0.75), -40.0, 40.0, 0.0, 1.0]).expand(20000, 6)
    made = draw(parameters, torch.rand(20000, 3, generator=torch.Generator().manual_seed(0))) * SCALE
    low = made < 0
    assert float(low.float().mean()) == pytest.approx(0.25, abs=0.015)
    assert float(made[low].mean()) == pytest.approx(-40, abs=0.15)
    assert float(made[~low].std()) == pytest.approx(math.pi * math.e / math.sqrt(3), rel=0.05)


def test_the_receptive_field_is_what_the_configuration_says_and_nothing_sees_the_future():
    assert WaveNetConfig().receptive_field == 1 + 2 * 3 * 1023  # 256 ms at 24 kHz
    assert WaveNetConfig().dilations[:11] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1]
    model, frames = build(), 12
    torch.manual_seed(1)
    features = torch.randn(1, frames + 2 * CONTEXT, MELS)
    levels = (0.1 * torch.randn(1, frames * model.hop)).requires_grad_()
    place = 60
    model(levels, features)[0, place].abs().sum().backward()
    touched = levels.grad[0].nonzero()[:, 0]
    assert touched.max() == place - 1
    assert touched.min() == place - SMALL.receptive_field


def test_crops_see_what_the_whole_utterance_sees():
    model, frames = build(), 12
    features = with_context(torch.randn(1, frames, MELS))
    whole = model.upsampling(features)
    crop = model.upsampling(features[:, 5 : 5 + 4 + 2 * CONTEXT])
    torch.testing.assert_close(crop, whole[:, :, 5 * model.hop : 9 * model.hop])


def naive_generation(model, features, seed):
    """Everything again for every sample."""
    random, padded = torch.Generator().manual_seed(seed), with_context(features)
    samples = features.shape[1] * model.hop
    noise = torch.rand(samples, model.config.mixtures + 1, generator=random)
    levels = torch.zeros(1, samples)
    for place in range(samples):
        with torch.no_grad():
            levels[0, place] = draw(model(levels, padded)[0, place], noise[place])
    return levels


def test_ring_buffers_give_the_naive_samples(monkeypatch):
    monkeypatch.setattr("soundstorm.models.wavenet_generation.CHUNK", 20)
    model = build()
    features = torch.randn(2, 9, MELS, generator=torch.Generator().manual_seed(2))
    made = generate(model, features, [3, 4])
    assert made.shape == (2, 9 * model.hop)
    for row, seed in enumerate((3, 4)):
        torch.testing.assert_close(made[row : row + 1], naive_generation(model, features[row : row + 1], seed))


def test_long_utterances_take_no_more_memory_for_their_conditions(monkeypatch):
    monkeypatch.setattr("soundstorm.models.wavenet_generation.CHUNK", 20)
    model, seen = build(), []
    model.upsampling.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    generate(model, torch.randn(1, 40, MELS), [0])
    assert max(seen) == 20 // model.hop + 2 * CONTEXT and len(seen) > 10


def test_parameters_are_in_float32_under_bf16_products():
    model, frames = build(), 4
    levels, features = torch.zeros(1, frames * model.hop), torch.randn(1, frames + 2 * CONTEXT, MELS)
    with torch.autocast("cpu", torch.bfloat16):
        made = model(levels, features)
    assert made.dtype == torch.float32  # a mean near full scale would else be hundreds of levels off
    torch.testing.assert_close(made, model(levels, features), rtol=0.05, atol=0.05)


def test_seeds_decide_the_samples():
    model, features = build(), torch.randn(1, 3, MELS)
    first, again, other = (generate(model, features, [seed]) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(
    "wrong, words",
    [({"layers": 7}, "multiple of wavenet.cycles"), ({"gate": 3}, "even"), ({"upsampling": ()}, "one or more values"),
     ({"features": "mine"}, "one of predicted, true"), ({"dropout": 1.0}, "at least 0 and less than 1")],
)  # fmt: skip
def test_settings_that_make_no_network_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        WaveNetConfig(**wrong)
