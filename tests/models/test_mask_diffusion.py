"""The network of mask diffusion, and SoundStorm with its U-Net: padding, what is seen, where it starts."""

import pytest
import torch

from soundstorm.models.codebook_unet import CodebookUNet
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.models.mask_diffusion_config import DiffusionConfig, MaskDiffusionConfig
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig

LENGTHS, STARTS, LEVELS, SIZE, SEMANTIC = (12, 7, 9), (4, 0, 8), 3, 11, 7


def small_model(conditioning="sum", steps=100, layers=1, width=16, uniform=0.1, **sizes):
    torch.manual_seed(0)
    config = MaskDiffusionConfig(
        layers=layers, width=width, heads=2, inner=2 * width, conditioning=conditioning, **sizes
    )
    model = MaskDiffusion(
        config, DiffusionConfig(steps=steps, uniform=uniform), num_levels=LEVELS, codebook_size=SIZE,
        semantic_size=SEMANTIC,
    )  # fmt: skip
    for parameter in model.parameters():  # far from uniform predictions
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def inputs(seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (len(LENGTHS), max(LENGTHS))
    semantic = torch.randint(0, SEMANTIC, shape, generator=generator)
    codes = torch.randint(0, SIZE + 1, (*shape, LEVELS), generator=generator)
    times = torch.tensor([3, 50, 100])
    given = torch.arange(shape[1]) < torch.tensor(STARTS)[:, None]
    codes = torch.where(given[..., None], codes % SIZE, codes)
    return semantic, codes, times, torch.tensor(STARTS), torch.tensor(LENGTHS)


def rows_of(starts, lengths, frames):
    place = torch.arange(frames)
    return ((place >= starts[:, None]) & (place < lengths[:, None])).flatten().nonzero()[:, 0]


@pytest.mark.parametrize("conditioning", ["sum", "cross"])
def test_what_stands_in_padding_changes_no_bit(conditioning):
    model, (semantic, codes, times, starts, lengths) = small_model(conditioning), inputs()
    rows = rows_of(starts, lengths, semantic.shape[1])
    expected = model(semantic, codes, times, starts, lengths, rows)
    padding = torch.arange(semantic.shape[1]) >= lengths[:, None]
    other, changed, *_ = inputs(seed=2)
    semantic, codes = torch.where(padding, other, semantic), torch.where(padding[..., None], changed, codes)
    assert torch.equal(model(semantic, codes, times, starts, lengths, rows), expected)


@pytest.mark.parametrize("conditioning", ["sum", "cross"])
def test_an_example_alone_equals_itself_padded_in_a_batch(conditioning):
    model, (semantic, codes, times, starts, lengths) = small_model(conditioning), inputs()
    batched = model(semantic, codes, times, starts, lengths, rows_of(starts, lengths, semantic.shape[1]))
    alone = []
    for b, length in enumerate(LENGTHS):
        one = slice(b, b + 1)
        rows = rows_of(starts[one], lengths[one], length)
        alone.append(
            model(semantic[one, :length], codes[one, :length], times[one], starts[one], lengths[one], rows)
        )
    torch.testing.assert_close(batched, torch.cat(alone), rtol=1e-4, atol=1e-4)
    assert batched.shape == (8 + 7 + 1, LEVELS, SIZE)


@pytest.mark.parametrize("conditioning", ["sum", "cross"])
def test_time_prompt_and_semantic_tokens_are_seen(conditioning):
    model, (semantic, codes, times, starts, lengths) = small_model(conditioning), inputs()
    rows = rows_of(starts, lengths, semantic.shape[1])[:8]  # of the first example
    expected = model(semantic, codes, times, starts, lengths, rows)
    for frame in (0, 11):  # of the prompt, of the target
        other = semantic.clone()
        other[0, frame] = (other[0, frame] + 1) % SEMANTIC
        assert not torch.equal(model(other, codes, times, starts, lengths, rows), expected)
    for level in range(LEVELS):
        other = codes.clone()
        other[0, 1, level] = (other[0, 1, level] + 1) % SIZE
        seen = level == 0 or conditioning == "sum"  # attention reads the prompt's first level, as published
        assert torch.equal(model(semantic, other, times, starts, lengths, rows), expected) != seen
    later = times + torch.tensor([1, 0, 0])
    assert not torch.equal(model(semantic, codes, later, starts, lengths, rows), expected)


def test_the_codes_start_from_the_codebooks_and_the_masks_stay():
    model = small_model()
    before, books = model._tables()[:, SIZE].clone(), torch.randn(LEVELS, SIZE, 8)
    model.start_from_codebooks(books)
    tables = model._tables().detach()
    assert torch.equal(tables[:, SIZE], before)
    centred = books - books.mean(1, keepdim=True)
    for level in range(LEVELS):  # the geometry is the codec's
        ours, theirs = torch.pdist(tables[level, :SIZE]), torch.pdist(centred[level])
        torch.testing.assert_close(ours / ours.mean(), theirs / theirs.mean(), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="the codec has 2 codebooks of 11 codes, mask diffusion 3 of 11"):
        model.start_from_codebooks(books[:2])


def test_the_unet_has_the_published_shape():
    """Convolutions of 16.5M at width 512, less two thirds of the two lowest, which see only zeros."""
    with torch.device("meta"):
        unet = CodebookUNet(512)
    convolutions = sum(p.numel() for p in unet.parameters() if p.ndim == 4)
    assert convolutions == (7 * 9 - 2 * 6) * 512**2
    assert (convolutions + 2 * 6 * 512**2) / 1e6 == pytest.approx(16.5, abs=0.05)


def test_soundstorm_with_the_unet_ignores_padding_and_predicts_each_level():
    torch.manual_seed(0)
    config = SoundStormConfig(layers=1, width=16, heads=2, inner=16, kernel=3, dropout=0.0, combine="unet")
    model = SoundStorm(config, num_levels=LEVELS, codebook_size=SIZE, semantic_size=SEMANTIC)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    semantic, codes, _, _, lengths = inputs()
    hidden = torch.rand(codes.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    codes = codes % SIZE
    batched = model.encode(semantic, codes, hidden, lengths)
    for b, length in enumerate(LENGTHS):
        one = slice(b, b + 1)
        alone = model.encode(semantic[one, :length], codes[one, :length], hidden[one, :length])
        torch.testing.assert_close(batched[b, :length], alone[0], rtol=1e-4, atol=1e-4)
    padding = torch.arange(12) >= lengths[:, None]
    target = hidden & ~padding[..., None]
    for level, logits, right, example in model(semantic, codes, hidden, target, lengths):
        assert torch.equal(right, codes[..., level][target[..., level]]) and len(example) == len(right)
        expected = model.heads[level](batched[..., level, :][target[..., level]])
        torch.testing.assert_close(logits, expected)
