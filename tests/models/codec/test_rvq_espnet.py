"""The residual quantizer against ESPnet's, which is EnCodec's, with shared codebooks.

The same: which codes, what they decode to, the gradient to the input, the commitment of a level, and the moving
averages of counts and sums. Different, and left out or made equal here:

- ESPnet divides the averaged sums by counts smoothed with 1e-5 (Laplace), ours by the counts: codebooks agree to 1e-4.
- ESPnet's k-means on the first batch starts from random frames, ours from k-means++. Both have given codebooks here.
- Codes in little use are replaced by random frames in both: by other random numbers, so replacement is off here.
- ESPnet projects every level by itself where ``codebook_dim`` differs; ours once around all levels. No projection here.
- ESPnet knows neither padding nor, in the form compared, examples with fewer levels; test_rvq.py has those of ours.
"""

import pytest
import torch

from soundstorm.models.codec.rvq import ResidualVectorQuantizer

DIM, LEVELS, SIZE, DECAY = 6, 4, 16, 0.9


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pair():
    """Both quantizers with the same codebooks, counts and sums."""
    espnet = pytest.importorskip("espnet2.gan_codec.shared.quantizer.residual_vq", reason="needs espnet")
    ours = ResidualVectorQuantizer(DIM, LEVELS, SIZE, decay=DECAY, dead_code_usage=0.0)
    theirs = espnet.ResidualVectorQuantizer(
        dimension=DIM, codebook_dim=DIM, n_q=LEVELS, bins=SIZE, decay=DECAY, kmeans_init=False,
        threshold_ema_dead_code=0,
    )  # fmt: skip
    counts = 1 + 5 * torch.rand(LEVELS, SIZE, generator=torch.Generator().manual_seed(2))
    ours.counts.copy_(counts)
    ours.sums.copy_(ours.codebooks * counts[..., None])
    ours.num_updates.fill_(1)  # past the k-means of the first batch
    for level, layer in enumerate(theirs.vq.layers):
        layer._codebook.embed.copy_(ours.codebooks[level])
        layer._codebook.embed_avg.copy_(ours.sums[level])
        layer._codebook.cluster_size.copy_(counts[level])
    return ours, theirs


def test_codes_and_what_they_decode_to_are_the_same(pair):
    ours, theirs = (quantizer.eval() for quantizer in pair)
    latents = noise(3, 50, DIM)
    codes = theirs.encode(latents.mT, 50)  # (Q, B, T)
    got = ours(latents)
    assert torch.equal(got.codes, codes.permute(1, 2, 0))
    torch.testing.assert_close(got.latents, theirs.decode(codes).mT)
    torch.testing.assert_close(ours.decode(got.codes), theirs.decode(codes).mT)


@pytest.mark.parametrize("kept", range(1, LEVELS + 1))
def test_the_coarsest_levels_alone_are_the_same(pair, kept):
    ours, theirs = (quantizer.eval() for quantizer in pair)
    latents = noise(2, 20, DIM)
    wanted = theirs.decode(theirs.encode(latents.mT, 50)[:kept]).mT
    torch.testing.assert_close(ours(latents, None, torch.full((2,), kept)).latents, wanted)


def test_a_training_step_gives_the_same_output_gradient_and_commitment(pair):
    ours, theirs = (quantizer.train() for quantizer in pair)
    inputs = [noise(2, 30, DIM).requires_grad_() for _ in range(2)]
    weights = noise(2, 30, DIM, seed=1)
    got = ours(inputs[0])
    quantized, codes, _, commitment = theirs(inputs[1].mT, 50)
    assert torch.equal(got.codes, codes.permute(1, 2, 0))
    torch.testing.assert_close(got.latents, quantized.mT)
    torch.testing.assert_close(got.commitment, commitment)
    ((got.latents * weights).sum() + 3 * got.commitment).backward()
    ((quantized.mT * weights).sum() + 3 * commitment).backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_moving_averages_stay_the_same_over_many_steps(pair):
    ours, theirs = (quantizer.train() for quantizer in pair)
    for step in range(20):
        latents = noise(2, 40, DIM, seed=step)
        codes = ours(latents).codes
        assert torch.equal(codes, theirs(latents.mT, 50)[1].permute(1, 2, 0)), step
    for level, layer in enumerate(theirs.vq.layers):
        book = layer._codebook
        torch.testing.assert_close(ours.counts[level], book.cluster_size, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.sums[level], book.embed_avg, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.codebooks[level], book.embed, rtol=1e-4, atol=1e-4)
