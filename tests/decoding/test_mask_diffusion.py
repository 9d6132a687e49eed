"""Proofs about the sampler of mask diffusion, as tests/decoding/test_parallel.py has them of SoundStorm's."""

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.decoding.mask_diffusion_generator import MaskDiffusionGenerator
from soundstorm.decoding.mask_diffusion_kind import KIND, MaskDiffusionSamplingConfig
from soundstorm.decoding.mask_diffusion_sampler import by_purity, decode, likeliest, pass_times, reveals
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.models.discrete_diffusion import MaskAndUniform
from soundstorm.models.mask_diffusion_config import DiffusionConfig
from tests.models.test_mask_diffusion import LENGTHS, LEVELS, SEMANTIC, SIZE, small_model

PURITY = MaskDiffusionSamplingConfig()
POSTERIOR = MaskDiffusionSamplingConfig(sampler="posterior", passes=7)
STARTS, MASK = [4, 0, 2], SIZE
SAMPLERS = pytest.mark.parametrize("config", [PURITY, POSTERIOR], ids=["purity", "posterior"])


def run(model, config, starts=STARTS, seeds=(1, 2, 3), only=None):
    """Codes of three utterances, or one of them alone, the prompts, and what the network was shown."""
    generator, frames, film = torch.Generator().manual_seed(3), max(LENGTHS), []
    semantic = torch.randint(0, SEMANTIC, (3, frames), generator=generator)
    prompt = torch.randint(0, SIZE, (3, 4, LEVELS), generator=generator)
    lengths, extra, chosen = torch.tensor(LENGTHS), {}, [0, 1, 2] if only is None else [only]
    if starts is not None:
        extra = {"prompt": prompt[chosen], "prompt_lengths": torch.tensor(starts)[chosen]}
    longest = int(lengths[chosen].max())
    codes = decode(
        model, semantic[chosen, :longest], lengths[chosen], config, seeds=[seeds[b] for b in chosen],
        watch=lambda time, codes: film.append((time, codes.clone())), **extra,
    )  # fmt: skip
    return codes, prompt, film


@pytest.fixture(scope="module", params=["sum", "cross"])
def model(request):
    return small_model(request.param, steps=20)


@SAMPLERS
def test_prompts_are_given_and_never_touched_and_padding_stays_zero(model, config):
    config = MaskDiffusionSamplingConfig(sampler=config.sampler, passes=7)
    codes, prompt, film = run(model, config)
    for shown in [*(codes for _, codes in film), codes]:
        for b, (first, length) in enumerate(zip(STARTS, LENGTHS, strict=True)):
            assert torch.equal(shown[b, :first], prompt[b, :first]) and not shown[b, length:].any()
    assert len(film) == 7 and (film[0][1][0, STARTS[0] : LENGTHS[0]] == MASK).all()
    assert int(codes.max()) < SIZE


def test_by_purity_what_was_revealed_stays_and_as_many_are_revealed_as_the_schedule_says(model):
    codes, _, film = run(model, MaskDiffusionSamplingConfig(passes=7))
    states = [*(codes for _, codes in film), codes]
    for b, (first, length) in enumerate(zip(STARTS, LENGTHS, strict=True)):
        expected = reveals((length - first) * LEVELS, 7)
        for before, after, count in zip(states, states[1:], expected):
            changed = before[b] != after[b]
            assert int(changed.sum()) == count and (before[b][changed] == MASK).all()


def test_by_the_posterior_codes_are_corrected():
    config, corrected = MaskDiffusionSamplingConfig(sampler="posterior", passes=20), {}
    for uniform in (0.5, 0.0):
        _, _, film = run(small_model(steps=20, uniform=uniform), config)
        pairs = zip(film, film[1:], strict=False)
        corrected[uniform] = any(bool(((a != MASK) & (a != b)).any()) for (_, a), (_, b) in pairs)
    assert corrected == {0.5: True, 0.0: False}  # where there are no random codes, nothing is wrong


@SAMPLERS
def test_an_utterance_is_the_same_alone_and_in_company(model, config):
    config = MaskDiffusionSamplingConfig(sampler=config.sampler, passes=7)
    for starts in (STARTS, None):
        together, *_ = run(model, config, starts)
        for b, length in enumerate(LENGTHS):
            alone, *_ = run(model, config, starts, only=b)
            assert torch.equal(alone[0, :length], together[b, :length])


@SAMPLERS
def test_seeded_runs_repeat_and_other_seeds_differ(model, config):
    config = MaskDiffusionSamplingConfig(sampler=config.sampler, passes=7)
    first, again, other = (run(model, config, seeds=seeds)[0] for seeds in ((1, 2, 3), (1, 2, 3), (4, 5, 6)))
    assert torch.equal(first, again) and not torch.equal(first, other)


class Oracle(torch.nn.Module):
    """Knows what lies behind codes that are each drawn from one distribution, whatever the others are."""

    num_levels = LEVELS

    def __init__(self, chain, codes):
        super().__init__()
        self.chain, self.log_codes = chain, codes.log()

    def forward(self, semantic, codes, times, prompt_end, lengths, rows):
        """By Bayes' rule, p(x_0) q(x_t | x_0)."""
        seen, (keep, uniform, _) = codes.flatten(0, 1)[rows][..., None], self.chain.until(times[0])
        at_code = torch.arange(len(self.log_codes)) == seen
        return self.log_codes + torch.where(seen < SIZE, (uniform + at_code * keep).log(), 0.0)


@pytest.mark.parametrize("passes", [51, 11])
@pytest.mark.parametrize("uniform", [0.1, 0.0])
def test_by_the_posterior_of_an_oracle_codes_come_as_they_are_distributed(passes, uniform):
    codes, frames = torch.tensor([0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01]), 2000
    oracle = Oracle(MaskAndUniform(DiffusionConfig(uniform=uniform), SIZE), codes)
    config = MaskDiffusionSamplingConfig(sampler="posterior", passes=passes, top_p=1.0)
    made = decode(oracle, torch.zeros(1, frames).long(), torch.tensor([frames]), config, seeds=[0])
    share = torch.bincount(made.flatten(), minlength=SIZE) / (frames * LEVELS)
    np.testing.assert_allclose(share, codes, atol=4 * 0.5 / (frames * LEVELS) ** 0.5)


def test_as_many_are_revealed_as_there_are():
    for cells in range(1, 3001):
        for passes in (100, 11, 2, 1):
            found = reveals(cells, passes)
            assert len(found) == passes and sum(found) == cells and min(found) >= 0
    assert reveals(2000, 100) == [54] + [20] * 97 + [5, 1]


def test_passes_jump_evenly_to_the_first_step():
    assert pass_times(100, 100) == list(range(100, 0, -1))
    assert pass_times(100, 11) == [*range(100, 0, -10), 1] and pass_times(100, 1) == [100]
    for passes, stride in ((51, 2), (26, 4)):
        assert pass_times(100, passes) == [*range(100, 0, -stride), 1]
    with pytest.raises(ValueError, match="mask_diffusion.passes is 101, expected at most 100"):
        pass_times(100, 101)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_there_are_as_many_passes_as_are_asked_for(steps):
    for passes in range(1, steps + 1):
        times = pass_times(steps, passes)
        jumps = [time - following for time, following in zip(times, [*times[1:], 0])]
        assert len(times) == passes and times[0] == steps and min(jumps) >= 1
        if passes > 1:  # the last, to 0, starts at 1; what is rounded or cut off is less than one step
            assert times[-1] == 1 and max(jumps) - steps / (passes - 1) < 1


def test_the_likeliest_codes_reach_the_mass_and_one_more_exceeds_it():
    logits = torch.tensor([[0.5, 0.2, 0.1, 0.2], [0.9, 0.05, 0.03, 0.02]]).log()
    kept = likeliest(logits, 0.85).exp()
    torch.testing.assert_close(kept, torch.tensor([[0.5, 0.2, 0.0, 0.2], [0.9, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(likeliest(logits, 1.0), logits)


def test_purity_orders_and_sharpens():
    p = torch.tensor([0.9, 0.6, 0.3])  # of the first of two codes, in three cells of a frame
    log_p = torch.stack([p, 1 - p], -1).log()[None].expand(20000, 3, 2)
    numbers = torch.rand(60000, 2, generator=torch.Generator().manual_seed(0))
    chosen, confidence = by_purity(log_p, torch.zeros(20000, dtype=torch.long), 1, numbers, 2.0)
    power = 1 + 2 * torch.maximum(p, 1 - p) / 0.9
    expected = p**power / (p**power + (1 - p) ** power)
    np.testing.assert_allclose((chosen == 0).float().mean(0), expected, atol=0.012)
    first = torch.bincount(confidence.argmax(-1), minlength=3) / 20000  # a draw by purity
    np.testing.assert_allclose(first, torch.tensor([0.9, 0.6, 0.7]) / 2.2, atol=0.012)


def test_the_generator_takes_utterances_of_any_length_with_and_without_prompts(model):
    semantic_info, acoustic_info = (
        TokenizerInfo(kind, kind, "f" * 64, 50.0, LEVELS, SIZE, 16000) for kind in ("semantic", "acoustic")
    )
    generator, stopwatch = MaskDiffusionGenerator(model, semantic_info, acoustic_info), Stopwatch()
    rng, config = np.random.default_rng(0), MaskDiffusionSamplingConfig(passes=3)
    semantic = [rng.integers(0, SEMANTIC, count) for count in (9, 14)]
    prompts = [None, rng.integers(0, SIZE, (5, LEVELS))]
    made = generator.acoustic_tokens(semantic, config, seeds=[1, 2], prompts=prompts, stopwatch=stopwatch)
    assert [codes.shape for codes in made] == [(9, LEVELS), (14, LEVELS)] and max(c.max() for c in made) < SIZE
    np.testing.assert_array_equal(made[1][:5], prompts[1])
    (alone,) = generator.acoustic_tokens(semantic[:1], config, seeds=[1])
    np.testing.assert_array_equal(alone, made[0])
    assert stopwatch.counts["passes"] == 2 * 3 and stopwatch.parts["mask_diffusion"]["audio_seconds"] == 18 / 50


def test_a_prompt_that_leaves_nothing_to_fill_in_is_refused(model):
    with pytest.raises(ValueError, match=r"leave nothing to fill in of \[12, 7, 9\] frames"):
        run(model, PURITY, starts=[12, 0, 0])


def test_titles_say_how_many_passes():
    assert KIND.system_title(PURITY) == "Mask diffusion, 100 passes"
    assert KIND.system_title(POSTERIOR) == "Mask diffusion by its posterior, 7 passes"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sampler": "x"}, "sampler is 'x', expected one of purity, posterior"),
        ({"passes": 0}, "passes is 0, expected at least 1"),
        ({"top_p": 0.0}, "top_p is 0.0, expected more than 0"),
        ({"sharpness": -1.0}, "sharpness is -1.0, expected at least 0"),
        ({"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ({"precision": "x"}, "precision is 'x', expected one of no, bf16, fp16"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=f"mask_diffusion.{message}"):
        MaskDiffusionSamplingConfig(**options)
