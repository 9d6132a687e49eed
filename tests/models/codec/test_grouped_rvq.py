import math

import pytest
import torch

from soundstorm.data.codebook import levels_of_stage
from soundstorm.models.codec.grouped_rvq import GroupedResidualVectorQuantizer
from soundstorm.models.codec.rvq import ResidualVectorQuantizer

GROUPS, STAGES = 2, 3


def make(**options) -> GroupedResidualVectorQuantizer:
    settings = {"dim": 6, "num_levels": GROUPS * STAGES, "codebook_size": 8, "groups": GROUPS} | options
    return GroupedResidualVectorQuantizer(**settings)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quantize_with_loops(vector, codebooks):
    """One frame, read aloud from HiFi-Codec's paper: every stage quantizes what is left of each half in turn."""
    width = len(vector) // GROUPS
    left, total, codes, distances = vector.clone(), torch.zeros_like(vector), [], []
    for stage in range(STAGES):
        for group in range(GROUPS):
            half = slice(group * width, (group + 1) * width)
            codebook = codebooks[stage * GROUPS + group]
            best, best_distance = None, math.inf
            for index, code in enumerate(codebook):
                distance = sum(float(a - b) ** 2 for a, b in zip(left[half], code[half]))
                if distance < best_distance:
                    best, best_distance = index, distance
            codes.append(best)
            distances.append(best_distance / width)
            total[half] += codebook[best][half]
            left[half] -= codebook[best][half]
    return total, codes, distances


def test_codes_latents_and_commitment_equal_those_of_slow_loops():
    quantizer = make().eval()
    latents, distances = noise(2, 5, 6), []
    result = quantizer(latents)
    for b in range(2):
        for t in range(5):
            total, codes, of_frame = quantize_with_loops(latents[b, t], quantizer.codebooks)
            assert result.codes[b, t].tolist() == codes
            torch.testing.assert_close(result.latents[b, t], total)
            distances += of_frame
    assert float(result.commitment) == pytest.approx(sum(distances) / len(distances))


def test_every_group_is_a_residual_quantizer_of_its_own_part():
    together = make().train()
    alone = [ResidualVectorQuantizer(3, STAGES, 8, seed=group).train() for group in range(GROUPS)]
    for seed in range(3):
        latents = noise(2, 20, 6, seed=seed)
        codes = together(latents).codes
        for group, quantizer in enumerate(alone):
            levels = [levels_of_stage(stage, GROUPS)[group] for stage in range(STAGES)]
            assert torch.equal(codes[..., levels], quantizer(latents[..., 3 * group : 3 * group + 3]).codes)
            assert torch.equal(together.counts[levels], quantizer.counts)
            assert torch.equal(together.batch_counts[levels], quantizer.batch_counts)
    assert together.num_updates == 3


def test_decoding_adds_up_the_codebooks_of_a_frame():
    quantizer = make().eval()
    result = quantizer(noise(2, 5, 6))
    torch.testing.assert_close(quantizer.decode(result.codes), result.latents)
    summed = sum(quantizer.codebooks[level][result.codes[..., level]] for level in range(6))
    torch.testing.assert_close(summed, result.latents)


@pytest.mark.parametrize("code_dim, width", [(0, 6), (2, 4)])
def test_codebooks_lie_in_a_space_of_all_groups(code_dim, width):
    codebooks = make(code_dim=code_dim).codebooks
    assert codebooks.shape == (6, 8, width)
    assert not codebooks[0::2, :, width // 2 :].any() and not codebooks[1::2, :, : width // 2].any()


def test_dropout_keeps_whole_stages():
    quantizer = make().eval()
    result = quantizer(noise(3, 4, 6), None, torch.tensor([1, 2, 3]))
    for example, kept in enumerate((1, 2, 3)):
        wanted = quantizer.decode(result.codes[example : example + 1, :, : kept * GROUPS])[0]
        torch.testing.assert_close(result.latents[example], wanted)


def test_gradient_passes_straight_through():
    quantizer, weights = make().eval(), noise(2, 5, 6, seed=1)
    latents = noise(2, 5, 6).requires_grad_()
    (quantizer(latents).latents * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)


def test_saved_and_loaded_it_goes_on_exactly_as_before():
    first, second = make().train(), make(seed=0).train()
    first(noise(2, 20, 6))
    second.load_state_dict(first.state_dict())
    for seed in (1, 2):
        one, two = first(noise(2, 20, 6, seed=seed)), second(noise(2, 20, 6, seed=seed))
        assert torch.equal(one.codes, two.codes)
    assert torch.equal(first.codebooks, second.codebooks)


def test_what_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="model.groups is 2, expected a divisor of the width of the latents, 7"):
        make(dim=7)
    with pytest.raises(ValueError, match="and of model.num_levels, 5"):
        make(num_levels=5)
    quantizer = make()
    for codes in ([[[0, 8, 1, 1]]], [[[0, 1, 1]]], [[[0] * 8]]):
        with pytest.raises(ValueError, match=r"expected \(B, T, 6\) in \[0, 7\]: are these tokens of another codec"):
            quantizer.decode(torch.tensor(codes))


def test_the_order_is_that_of_hifi_codec():
    # stage 1 of both groups, then stage 2 of both
    assert [list(levels_of_stage(stage, 2)) for stage in range(2)] == [[0, 1], [2, 3]]
    assert [list(levels_of_stage(stage, 1)) for stage in range(3)] == [[0], [1], [2]]
