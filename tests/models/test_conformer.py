"""The Conformer against ESPnet's with shared weights, and that padding does not leak.

Where ESPnet's encoder layer differs from ours, and what is done about it here:

- It has no rotary positions: ours are turned off. With them, attention has a slow twin below.
- Its convolution module has BatchNorm, which mixes examples and padding. It gets ESPnet's own LayerNorm over
  channels.
- Its convolution module has expansion 1. Expansion 2 is compared by giving it twice the channels, half of
  them zero.
- It does not keep padding out of the convolution: whole blocks are compared without padding, attention with
  it.
- Its LayerNorm adds 1e-12 to the variance, torch's 1e-5: set to torch's.
"""

import pytest
import torch
from torch import nn

from soundstorm.models.conformer import (
    Conformer,
    ConformerBlock,
    ConvolutionModule,
    FeedForward,
    SelfAttention,
    apply_rotary,
    rotary_tables,
)
from soundstorm.models.fast_path import FastConformer

WIDTH, HEADS, INNER, KERNEL = 12, 3, 20, 5


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_weights(module: nn.Module) -> nn.Module:
    """No weight zero: the branches of a fresh block are, which any two blocks have in common."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator))
    return module.eval()


def copy(source: nn.Module, target: nn.Module) -> None:
    """Weights of a layer; ESPnet writes pointwise layers as convolutions of width 1."""
    with torch.no_grad():
        target.weight.copy_(source.weight.view_as(target.weight))
        target.bias.copy_(source.bias)
    if isinstance(source, nn.LayerNorm):
        target.eps = source.eps


def espnet_attention(ours: SelfAttention) -> nn.Module:
    attention = pytest.importorskip(
        "espnet.nets.pytorch_backend.transformer.attention", reason="needs espnet"
    )
    theirs = attention.MultiHeadedAttention(HEADS, WIDTH, 0.0)
    names = ("linear_q", "linear_k", "linear_v")
    weights, biases = ours.query_key_value.weight.chunk(3), ours.query_key_value.bias.chunk(3)
    with torch.no_grad():
        for name, weight, bias in zip(names, weights, biases, strict=True):
            getattr(theirs, name).weight.copy_(weight)
            getattr(theirs, name).bias.copy_(bias)
    copy(ours.output, theirs.linear_out)
    return theirs.eval()


def espnet_feed_forward(ours: FeedForward) -> nn.Module:
    """Without the norm in front, which ESPnet has in the block."""
    layers = pytest.importorskip(
        "espnet.nets.pytorch_backend.transformer.positionwise_feed_forward", reason="needs espnet"
    )
    theirs = layers.PositionwiseFeedForward(WIDTH, INNER, 0.0, nn.SiLU())
    copy(ours[1], theirs.w_1)
    copy(ours[4], theirs.w_2)
    return theirs.eval()


def espnet_convolution(ours: ConvolutionModule) -> nn.Module:
    """Without the norm in front; of as many channels as ours has inside."""
    convolution = pytest.importorskip(
        "espnet.nets.pytorch_backend.conformer.convolution", reason="needs espnet"
    )
    from espnet.nets.pytorch_backend.transformer.layer_norm import LayerNorm

    inner, width = ours.depthwise.in_channels, ours.contract.out_features
    theirs = convolution.ConvolutionModule(inner, KERNEL, nn.SiLU())
    theirs.norm = LayerNorm(inner, dim=1)
    copy(ours.depthwise, theirs.depthwise_conv)
    copy(ours.inner_norm, theirs.norm)
    theirs.norm.eps = ours.inner_norm.eps
    with torch.no_grad():
        for layer in (theirs.pointwise_conv1, theirs.pointwise_conv2):
            layer.weight.zero_()
            layer.bias.zero_()
        theirs.pointwise_conv1.weight[:, :width, 0] = ours.expand.weight
        theirs.pointwise_conv1.bias.copy_(ours.expand.bias)
        theirs.pointwise_conv2.weight[:width, :, 0] = ours.contract.weight
        theirs.pointwise_conv2.bias[:width] = ours.contract.bias
    return theirs.eval()


def espnet_block(ours: ConformerBlock) -> nn.Module:
    encoder_layer = pytest.importorskip(
        "espnet.nets.pytorch_backend.conformer.encoder_layer", reason="needs espnet"
    )
    theirs = encoder_layer.EncoderLayer(
        WIDTH,
        espnet_attention(ours.attention),
        espnet_feed_forward(ours.second),
        espnet_feed_forward(ours.first),
        espnet_convolution(ours.convolution),
        0.0,
    )
    copy(ours.first[0], theirs.norm_ff_macaron)
    copy(ours.attention_norm, theirs.norm_mha)
    copy(ours.convolution.norm, theirs.norm_conv)
    copy(ours.second[0], theirs.norm_ff)
    copy(ours.norm, theirs.norm_final)
    return theirs.eval()


@pytest.mark.parametrize("conformer", [Conformer, FastConformer])
def test_a_stack_of_blocks_equals_espnets(conformer):
    ours = random_weights(
        conformer(
            layers=3,
            width=WIDTH,
            heads=HEADS,
            inner=INNER,
            kernel=KERNEL,
            expansion=1,
            dropout=0.0,
            rotary=False,
        )
    )
    x = noise(2, 17, WIDTH)
    with torch.no_grad():
        wanted, mask = x, torch.ones(2, 1, 17, dtype=torch.bool)
        for block in ours.blocks:
            wanted, _ = espnet_block(block)(wanted, mask)
        got = ours(x)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert (got - x).abs().mean() > 0.1  # the branches did something


def test_gradients_of_a_block_equal_espnets():
    ours = random_weights(ConformerBlock(WIDTH, HEADS, INNER, KERNEL, 1, 0.0, rotary=False))
    theirs, weights = espnet_block(ours), noise(1, 9, WIDTH, seed=3)
    inputs = [noise(1, 9, WIDTH).requires_grad_() for _ in range(2)]
    (ours(inputs[0], rotary_tables(9, 4, "cpu", torch.float32), None, None) * weights).sum().backward()
    (theirs(inputs[1], None)[0] * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        ours.convolution.depthwise.weight.grad,
        theirs.conv_module.depthwise_conv.weight.grad,
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("expansion", [1, 2])
def test_the_convolution_module_equals_espnets(expansion):
    ours = random_weights(ConvolutionModule(WIDTH, KERNEL, expansion, 0.0))
    x = noise(2, 17, WIDTH)
    with torch.no_grad():
        padded = nn.functional.pad(ours.norm(x), (0, (expansion - 1) * WIDTH))
        wanted = espnet_convolution(ours)(padded)[..., :WIDTH]
        torch.testing.assert_close(ours(x, None), wanted, rtol=1e-4, atol=1e-5)


def test_attention_over_padding_equals_espnets():
    ours = random_weights(SelfAttention(WIDTH, HEADS, rotary=False))
    x, inside = noise(2, 9, WIDTH), torch.arange(9) < torch.tensor([9, 5])[:, None]
    with torch.no_grad():
        wanted = espnet_attention(ours)(x, x, x, inside[:, None])
        got = ours(x, rotary_tables(9, 4, "cpu", torch.float32), inside[:, None, None])
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_attention_with_rotary_positions_equals_its_slow_twin():
    """Each pair of a query and a key is turned by its distance alone, here as complex numbers."""
    attention, frames, size = random_weights(SelfAttention(WIDTH, HEADS)), 6, WIDTH // HEADS
    x = noise(1, frames, WIDTH)
    with torch.no_grad():
        got = attention(x, rotary_tables(frames, size, "cpu", torch.float32), None)[0]
        queries, keys, values = attention.query_key_value(x)[0].view(frames, 3, HEADS, size).unbind(1)
        rates = [10000.0 ** (-2 * i / size) for i in range(size // 2)]
        rows = []
        for t in range(frames):
            heads = []
            for h in range(HEADS):
                scores = []
                for s in range(frames):
                    score = 0.0
                    for i, rate in enumerate(rates):
                        q = complex(float(queries[t, h, i]), float(queries[t, h, i + size // 2]))
                        k = complex(float(keys[s, h, i]), float(keys[s, h, i + size // 2]))
                        turn = torch.polar(torch.tensor(1.0), torch.tensor(rate * (t - s))).item()
                        score += (q * k.conjugate() * turn).real
                    scores.append(score / size**0.5)
                heads.append(torch.tensor(scores).softmax(0) @ values[:, h])
            rows.append(torch.cat(heads))
        wanted = attention.output(torch.stack(rows))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_rotary_positions_keep_lengths():
    x = noise(2, 3, 7, 4)
    turned = apply_rotary(x, *rotary_tables(7, 4, "cpu", torch.float32))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert not torch.allclose(turned[:, :, 1:], x[:, :, 1:], atol=1e-2)


@pytest.mark.parametrize("conformer", [Conformer, FastConformer])
@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("kernel", [3, 5])
def test_an_example_alone_equals_itself_padded_in_a_batch(conformer, rotary, kernel):
    model = random_weights(
        conformer(
            layers=2,
            width=WIDTH,
            heads=HEADS,
            inner=INNER,
            kernel=kernel,
            expansion=2,
            dropout=0.0,
            rotary=rotary,
        )
    )
    x, lengths = noise(3, 14, WIDTH), (14, 9, 1)
    for row, length in enumerate(lengths):
        x[row, length:] = 100.0  # whatever lies in the padding
    with torch.no_grad():
        together = model(x, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone = model(x[row : row + 1, :length])
            torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-4, atol=1e-5)


def test_rows_that_are_asked_for_equal_those_of_everything():
    """The slow twin computes all frames; gradients of what is left out are zero there."""
    model = random_weights(
        FastConformer(layers=2, width=WIDTH, heads=HEADS, inner=INNER, kernel=3, expansion=2, dropout=0.0)
    )
    x, lengths, rows = noise(3, 14, WIDTH), torch.tensor([14, 9, 1]), torch.tensor([0, 3, 13, 14, 22, 28])
    some, everything = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = model(some, lengths, rows)
    expected = model(everything, lengths).flatten(0, 1)[rows]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    expected.square().sum().backward()
    torch.testing.assert_close(some.grad, everything.grad, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(gradients, (parameter.grad for parameter in model.parameters()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
