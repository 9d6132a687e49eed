import dataclasses
import sys

import pytest
import torch

from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.discriminators import build_discriminators
from soundstorm.models.codec.losses import feature_matching_sum

pytest.importorskip("espnet2.gan_codec", reason="needs espnet")
SMALL = CodecLossConfig(discriminators="hifi", wave_channels=4, wave_max_channels=32, stft_channels=4)


def make(config=SMALL):
    torch.manual_seed(0)
    return build_discriminators(config)


def speech(seed: int) -> torch.Tensor:
    """Harmonics of a changing pitch in noise, (2, 4096)."""
    generator, time = torch.Generator().manual_seed(seed), torch.arange(4096) / 16000
    pitch = 100 + 50 * torch.rand(2, 1, generator=generator)
    tones = sum(torch.sin(2 * torch.pi * pitch * k * time * (1 + time)) / k for k in range(1, 20))
    return 0.05 * tones + 0.005 * torch.randn(2, 4096, generator=generator)


def test_there_are_five_periods_three_rates_and_five_windows():
    outputs = make()(speech(0))
    assert len(outputs) == 13
    assert [layers[0].shape[-1] for layers in outputs[:5]] == [2, 3, 5, 7, 11]
    assert [layers[0].shape[-1] for layers in outputs[5:8]] == [4096, 2049, 1025]
    assert [layers[0].shape[-1] for layers in outputs[8:]] == [513, 1025, 257, 129, 65]


def test_at_the_published_size_they_have_the_published_parameters():
    config = CodecLossConfig(discriminators="hifi", wave_channels=32)
    with torch.device("meta"):
        families = build_discriminators(config).named_children()
    millions = {name: sum(p.numel() for p in family.parameters()) / 1e6 for name, family in families}
    assert millions == pytest.approx({"periods": 41.1, "scales": 29.6, "spectra": 0.47}, abs=0.05)


def test_every_weight_gets_a_gradient_and_shorter_waves_than_windows_are_judged():
    discriminators = make()
    outputs = discriminators(0.1 * torch.randn(2, 900))
    sum(layers[-1].square().mean() for layers in outputs).backward()
    for name, weight in discriminators.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_saved_and_loaded_every_one_of_them_is_itself(tmp_path):
    """In the public training the rates' weights were saved under the name of the spectra's."""
    from safetensors.torch import load_file, save_file

    first = make().train()
    first(speech(0))  # the spectral norm's vectors move
    save_file(first.state_dict(), tmp_path / "discriminator.safetensors")
    torch.manual_seed(1)
    second = build_discriminators(SMALL)
    second.load_state_dict(load_file(tmp_path / "discriminator.safetensors"))
    for ours, theirs in zip(first.eval()(speech(1)), second.eval()(speech(1)), strict=True):
        for one, two in zip(ours, theirs, strict=True):
            assert torch.equal(one, two)


def test_no_family_outweighs_the_others_in_feature_matching():
    """In the public training the spectra's was two orders of magnitude above the waves'."""
    discriminators = make()
    real, fake = (discriminators.features(discriminators(speech(seed))) for seed in (0, 1))
    values = [
        float(feature_matching_sum(real[chosen], fake[chosen]).detach())
        for chosen in (slice(0, 5), slice(5, 8), slice(8, 13))
    ]
    assert max(values) < 10 * min(values)


@pytest.mark.parametrize(
    "settings, judgements",
    [
        ({}, [True] * 8 + [False] * 5),
        ({"stft_discriminator": False}, [True] * 8),
        ({"wave_discriminators": 0}, [False] * 5),
    ],
)
def test_features_have_the_judgements_of_waves_and_not_those_of_spectra(settings, judgements):
    discriminators = make(dataclasses.replace(SMALL, **settings))
    outputs = discriminators(speech(0))
    for layers, features, has_judgement in zip(outputs, discriminators.features(outputs), judgements, strict=True):
        assert len(features) == len(layers) - (not has_judgement)
        assert all(one is other for one, other in zip(features, layers))


@pytest.mark.parametrize("settings, number", [({"wave_discriminators": 0}, 5), ({"stft_discriminator": False}, 8)])
def test_families_can_be_left_out(settings, number):
    assert len(make(dataclasses.replace(SMALL, **settings))(speech(0))) == number


def test_without_espnet_it_is_said_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "espnet2.gan_tts.hifigan", None)
    with pytest.raises(ValueError, match="loss.discriminators is hifi, which needs espnet 202511"):
        make()


def test_sizes_that_espnet_cannot_build_are_refused():
    with pytest.raises(ValueError, match="loss.wave_channels is 6 and loss.wave_max_channels 32"):
        dataclasses.replace(SMALL, wave_channels=6)
    with pytest.raises(ValueError, match="loss.discriminators is 'wavenet'"):
        dataclasses.replace(SMALL, discriminators="wavenet")
