"""HiFi-Codec's encoder and decoder against ESPnet's HiFi-GAN, and its normalization against loops."""

import pytest
import torch
import torch.nn.functional as F

from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.hifi import HifiDecoder, HifiEncoder, MaskedGroupNorm, ResidualBlock
from soundstorm.models.codec.hifi_config import HifiConfig


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def give(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    """Weights of a convolution of ours, whose normalization is left out there."""
    theirs.weight.data.copy_(ours.weight)
    theirs.bias.data.copy_(ours.bias)


def test_the_residual_block_is_espnets():
    espnet = pytest.importorskip("espnet2.gan_tts.hifigan.residual_block", reason="needs espnet")
    ours, theirs = ResidualBlock(4, 7), espnet.ResidualBlock(7, 4)
    for group, convolutions in ((theirs.convs1, ours.dilated), (theirs.convs2, ours.plain)):
        for their, our in zip(group, convolutions, strict=True):
            give(their[1], our)
    x = noise(2, 4, 50)
    torch.testing.assert_close(ours(x, torch.ones(2, 1, 50)), theirs(x))


def test_the_decoder_is_espnets_generator():
    espnet = pytest.importorskip("espnet2.gan_tts.hifigan", reason="needs espnet")
    torch.manual_seed(0)
    ours = HifiDecoder(6, channels=16, strides=(2, 4), kernels=(3, 7))
    theirs = espnet.HiFiGANGenerator(
        in_channels=6, channels=16, upsample_scales=[4, 2], upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3, 7], resblock_dilations=[[1, 3, 5]] * 2, use_weight_norm=False,
    )  # fmt: skip
    give(theirs.input_conv, ours.first)
    for their, our in zip(theirs.upsamples, ours.blocks, strict=True):
        give(their[1], our.stride)
    for their, our in zip(theirs.blocks, [part for block in ours.blocks for part in block.residual], strict=True):
        for group, convolutions in ((their.convs1, our.dilated), (their.convs2, our.plain)):
            for there, here in zip(group, convolutions, strict=True):
                give(there[1], here)
    give(theirs.output_conv[1], ours.last)
    latents = noise(2, 9, 6)
    wanted = theirs(latents.mT)[:, 0]
    torch.testing.assert_close(ours(latents, torch.ones(2, 9, dtype=torch.bool)), wanted, rtol=1e-4, atol=1e-5)


def test_the_encoder_is_what_the_description_says():
    """Written out for one stride and two kernels: the running sum is normalized after each residual block."""
    torch.manual_seed(0)
    encoder = HifiEncoder(channels=16, strides=(5,), kernels=(3, 7))
    (block,) = encoder.blocks
    for norm in block.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    wav, all_of_it = noise(2, 40), torch.ones(2, 1, 8)
    x = block.stride(F.leaky_relu(encoder.first(wav[:, None]), 0.1))
    total = torch.zeros_like(x)
    for residual, norm in zip(block.residual, block.norms):
        total = F.group_norm(total + residual(x, all_of_it), 2, norm.weight, norm.bias, eps=1e-6)
    wanted = encoder.last(F.leaky_relu(total / 2, 0.01)).mT
    torch.testing.assert_close(encoder(wav, torch.ones(2, 8, dtype=torch.bool)), wanted, rtol=1e-4, atol=1e-5)
    assert [residual.plain[0].kernel_size for residual in block.residual] == [(7,), (3,)]  # the largest first


def test_normalization_counts_no_padding():
    norm, x = MaskedGroupNorm(2, 6, eps=1e-6), noise(2, 6, 9)
    torch.nn.init.normal_(norm.weight)
    mask = torch.ones(2, 1, 9)
    torch.testing.assert_close(norm(x, mask), F.group_norm(x, 2, norm.weight, norm.bias, eps=1e-6))
    mask[1, :, 4:] = 0
    x[1, :, 4:] = 100.0
    alone = F.group_norm(x[1:, :, :4], 2, norm.weight, norm.bias, eps=1e-6)
    torch.testing.assert_close(norm(x, mask)[1:, :, :4], alone)


def test_it_has_the_published_numbers_of_parameters():
    with torch.device("meta"):
        codec = build_codec(HifiConfig(num_levels=4, codebook_size=1024, groups=2))
    millions = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (codec.encoder, codec.decoder)]
    assert millions == pytest.approx([47.2, 15.4], abs=0.05)
    assert codec.quantizer.codebooks.shape == (4, 1024, 512)  # of two halves of 256
    assert sum(millions) + 4 * 1024 * 256 / 1e6 == pytest.approx(63.6, abs=0.05)


@pytest.mark.parametrize("strides, kernels", [((2, 4, 5, 8), [4, 8, 11, 16]), ((2, 3, 5, 8), [4, 7, 11, 16])])
def test_strides_have_the_published_kernels(strides, kernels):
    encoder = HifiEncoder(channels=2, strides=strides, kernels=(3,))
    decoder = HifiDecoder(2, channels=16, strides=strides, kernels=(3,))
    assert [block.stride.kernel_size[0] for block in encoder.blocks] == kernels
    assert [block.stride.kernel_size[0] for block in decoder.blocks] == kernels[::-1]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kernels": (3, 4)}, r"model.kernels are \(3, 4\), expected one or more values, each an odd number"),
        ({"decoder_channels": 24}, "model.decoder_channels is 24, expected a multiple of 16"),
        ({"strides": ()}, r"model.strides are \(\)"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        HifiConfig(**settings)
