import dataclasses

import pytest
import torch

from soundstorm.data.records import make_record
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.codec_config import CodecConfig
from soundstorm.models.codec.families import CODEC_FAMILIES
from soundstorm.models.codec.hifi_config import HifiConfig
from soundstorm.models.codec.istft_config import IstftConfig
from soundstorm.models.codec.soundstream_config import SoundStreamConfig

ISTFT = IstftConfig(
    num_levels=3, codebook_size=16, hop=40, n_fft=160, width=16, expansion=2,
    encoder_blocks=2, decoder_blocks=2, kernel_size=3,
)  # fmt: skip
SOUNDSTREAM = SoundStreamConfig(num_levels=3, codebook_size=16, channels=2, latent_dim=8, strides=(2, 4, 5))
HIFI = HifiConfig(
    num_levels=3, codebook_size=16, groups=3, encoder_channels=6, decoder_channels=16, strides=(2, 4, 5), kernels=(3, 5)
)
GROUPED = [
    dataclasses.replace(ISTFT, width=18, groups=3),
    dataclasses.replace(SOUNDSTREAM, latent_dim=9, groups=3),
]
FAMILIES = pytest.mark.parametrize(
    "config", [ISTFT, SOUNDSTREAM, HIFI, *GROUPED], ids=lambda config: f"{config.family}-{config.groups}"
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(config: CodecConfig):
    torch.manual_seed(0)
    codec = build_codec(config)
    codec.train()(noise(2, 800))  # codebooks by k-means
    return codec.eval()


@FAMILIES
@pytest.mark.parametrize("samples", [1, 39, 40, 41, 399, 400, 1234])
def test_frames_cover_the_audio_and_decode_to_whole_frames(config, samples):
    codec = make(config)
    codes = codec.encode(noise(1, samples))
    assert codes.shape == (1, -(-samples // 40), 3)
    assert codec.decode(codes).shape == (1, 40 * codes.shape[1])


@FAMILIES
def test_forward_equals_encoding_and_decoding(config):
    codec, wav = make(config), noise(2, 400)
    output = codec(wav)
    codes = codec.encode(wav)
    assert torch.equal(output.quantized.codes, codes)
    torch.testing.assert_close(output.wav, codec.decode(codes))


@FAMILIES
def test_padded_examples_equal_single_ones(config):
    codec = make(config)
    wav, lengths = noise(3, 800), torch.tensor([800, 333, 40])
    wav[1, 333:] = 5.0  # whatever lies in the padding
    batch = codec(wav, lengths)
    for example, samples in enumerate(lengths.tolist()):
        alone = codec(wav[example : example + 1, :samples])
        assert torch.equal(batch.quantized.codes[example, : -(-samples // 40)], alone.quantized.codes[0])
        torch.testing.assert_close(batch.wav[example, :samples], alone.wav[0], rtol=1e-4, atol=1e-5)


@FAMILIES
def test_forward_is_silent_beyond_each_length(config):
    output = make(config)(noise(2, 400), torch.tensor([400, 123]))
    assert (output.wav[1, 123:] == 0).all()


@FAMILIES
def test_every_weight_gets_a_gradient(config):
    codec = make(config).train()
    output = codec(noise(2, 400))
    (output.wav.square().mean() + output.quantized.commitment).backward()
    for name, weight in codec.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


@FAMILIES
def test_saved_and_loaded_it_gives_the_same_codes(config, tmp_path):
    from safetensors.torch import load_file, save_file

    codec, wav = make(config), noise(2, 400)
    save_file(codec.state_dict(), tmp_path / "model.safetensors")
    other = build_codec(config)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(codec.encode(wav), other.eval().encode(wav))


def test_soundstream_is_causal():
    codec = make(SOUNDSTREAM)
    wav, changed = noise(1, 800), noise(1, 800)
    changed[:, 400:] += 1.0  # from frame 10 on
    mask = torch.ones(1, 20, dtype=torch.bool)
    first, second = codec.encoder(wav, mask), codec.encoder(changed, mask)
    torch.testing.assert_close(first[:, :10], second[:, :10])
    assert not torch.allclose(first[:, 10], second[:, 10])

    latents, other = noise(1, 20, 8), noise(1, 20, 8)
    other[:, 10:] += 1.0
    first, second = codec.decoder(latents, mask), codec.decoder(other, mask)
    torch.testing.assert_close(first[:, :400], second[:, :400])
    assert not torch.allclose(first[:, 400:440], second[:, 400:440])


def test_soundstream_at_the_papers_size_has_its_number_of_parameters():
    paper = dataclasses.replace(SOUNDSTREAM, channels=32, latent_dim=256, strides=(2, 4, 5, 8))
    with torch.device("meta"):
        codec = build_codec_without_quantizer(paper)
    count = sum(weight.numel() for part in codec for weight in part.parameters())
    assert 8e6 < count < 12e6


def build_codec_without_quantizer(config):
    from soundstorm.models.codec.soundstream import SEANetDecoder, SEANetEncoder

    sizes = {"channels": config.channels, "latent_dim": config.latent_dim, "strides": config.strides}
    return SEANetEncoder(**sizes), SEANetDecoder(**sizes)


def test_spectrum_and_inverse_give_the_signal_back():
    from soundstorm.models.codec.istft_codec import FrameSpectrum

    spectrum, wav = FrameSpectrum(160, 40), noise(2, 800)
    back = spectrum.inverse(spectrum(wav), torch.ones(2, 20, dtype=torch.bool))
    torch.testing.assert_close(back, wav, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"family": "wavenet"}, "model.family is 'wavenet', expected one of istft, soundstream"),
        ({"codebook_size": 100_000}, "model.codebook_size is 100000, expected 2 to 65536"),
        ({"groups": 3}, "model.groups is 3, expected a divisor of model.num_levels, 8"),
        ({"quantizer_dropout": 1.5}, "model.quantizer_dropout is 1.5"),
        ({"n_fft": 300}, "model.n_fft is 300 and model.hop 320"),
        ({"kernel_size": 4}, "model.kernel_size is 4, expected an odd number"),
    ],
)
def test_a_contradictory_configuration_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_record(CODEC_FAMILIES.of_settings(settings, "model"), settings, "config.yaml")


def test_frame_rate_follows_from_the_family():
    assert IstftConfig().frame_rate == 50
    assert SoundStreamConfig(strides=(2, 4, 5, 4)).frame_rate == 100
