import torch

from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.discriminators import StftDiscriminator, WaveDiscriminator, build_discriminators


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_a_wave_discriminator_downsamples_by_256_in_groups_of_four():
    discriminator = WaveDiscriminator()
    outputs = discriminator(noise(2, 4096))
    assert [output.shape[1] for output in outputs] == [16, 64, 256, 1024, 1024, 1024, 1]
    assert outputs[-1].shape == (2, 1, 16)
    for layer in discriminator.layers[1:5]:
        assert layer.in_channels // layer.groups == 4


def test_the_spectral_discriminator_reduces_all_frequencies_to_one_judgement_per_frame():
    outputs = StftDiscriminator(channels=2)(noise(2, 8192))
    assert len(outputs) == 8 and outputs[0].shape == (2, 2, 33, 512)
    assert outputs[-1].shape == (2, 1, 4, 1)  # 33 frames, halved three times


def test_every_weight_gets_a_gradient():
    discriminators = build_discriminators(CodecLossConfig(wave_channels=4, wave_max_channels=8, stft_channels=2))
    outputs = discriminators(noise(2, 8192))
    assert len(outputs) == 4  # three waves, one spectrum
    sum(layers[-1].square().mean() for layers in outputs).backward()
    for name, weight in discriminators.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_each_wave_discriminator_hears_half_the_rate_of_the_one_before():
    config = CodecLossConfig(wave_channels=4, wave_max_channels=8, stft_discriminator=False)
    outputs = build_discriminators(config)(noise(1, 8192))
    assert [layers[0].shape[-1] for layers in outputs] == [8192, 4096, 2048]
