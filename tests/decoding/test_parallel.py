"""Proofs about the decoder: what the network sees, what is written, how often it runs."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.codebook import levels_of_stage
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.parallel import decode, uniforms
from soundstorm.decoding.sampling import (
    choose,
    count_within_bound,
    entropy,
    keep_most_confident,
    mean_log_probability,
)
from soundstorm.decoding.soundstorm_generator import SoundStormGenerator
from soundstorm.models.masking import masked_after
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig

SMALL = SoundStormConfig(layers=2, width=16, heads=2, inner=32, kernel=3, dropout=0.1)


def small_model(num_levels=3, codebook_size=11, semantic_size=7, seed=0, groups=1):
    torch.manual_seed(seed)
    sizes = {"num_levels": num_levels, "codebook_size": codebook_size, "semantic_size": semantic_size}
    model = SoundStorm(SMALL, **sizes, groups=groups)
    for parameter in model.parameters():  # far from uniform predictions
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


class Film:
    """Records what the network is shown before every forward pass."""

    def __init__(self):
        self.frames = []

    def __call__(self, level, iteration, codes, hidden):
        self.frames.append((level, iteration, codes.clone(), hidden.clone()))


def run(model, lengths, config, prompts=None, seeds=None):
    torch.manual_seed(3)
    semantic = torch.randint(0, model.semantic_size, (len(lengths), max(lengths)))
    film, extra = Film(), {}
    if prompts is not None:
        extra = {
            "prompt": torch.randint(0, model.codebook_size, (len(lengths), max(prompts), model.num_levels)),
            "prompt_lengths": torch.tensor(prompts),
        }
    codes = decode(model, semantic, torch.tensor(lengths), config, watch=film, seeds=seeds, **extra)
    return codes, film, semantic, extra.get("prompt")


@pytest.mark.parametrize("prompts", [None, [5, 9]])
def test_the_masked_count_of_every_step_is_the_cosine_schedule(prompts):
    # long enough that the schedule never has to be bent for an iteration to commit something
    model, lengths, iterations = small_model(), [400, 280], (16, 4, 1)
    _, film, _, _ = run(model, lengths, ParallelConfig(iterations=iterations), prompts)
    assert [(q, i) for q, i, _, _ in film.frames] == [(q, i + 1) for q, n in enumerate(iterations) for i in range(n)]
    for level, iteration, _, hidden in film.frames:
        for b, length in enumerate(lengths):
            to_fill = length - (prompts[b] if prompts else 0)
            progress = (iteration - 1) / iterations[level]
            expected = math.floor(to_fill * math.cos(math.pi / 2 * progress) + 1e-9)
            assert hidden[b, :, level].sum() == expected


def test_finer_levels_are_all_masked_and_coarser_ones_all_open():
    model, lengths, prompts = small_model(), [20, 14], [3, 5]
    _, film, _, _ = run(model, lengths, ParallelConfig(iterations=(4, 2, 1)), prompts)
    for level, _, _, hidden in film.frames:
        for b in range(2):
            target = slice(prompts[b], lengths[b])
            assert hidden[b, target, level + 1 :].all()
            assert not hidden[b, :, :level].any()
            assert not hidden[b, : prompts[b]].any() and not hidden[b, lengths[b] :].any()


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_nothing_is_written_outside_the_current_level_and_nothing_committed_changes(precision):
    model = small_model()
    codes, film, _, _ = run(model, [20, 14], ParallelConfig(iterations=(6, 3, 2), precision=precision), [3, 5])
    states = [(level, c, h) for level, _, c, h in film.frames] + [(None, codes, None)]
    for (level, before, hidden), (_, after, _) in zip(states, states[1:], strict=False):
        changed = before != after
        assert not changed[:, :, [q for q in range(3) if q != level]].any()
        assert not (changed & ~hidden).any()


def test_the_prompt_stays_as_it_was_and_padding_stays_zero():
    codes, _, _, prompt = run(small_model(), [20, 14], ParallelConfig(iterations=(4, 1)), [3, 5])
    assert torch.equal(codes[0, :3], prompt[0, :3]) and torch.equal(codes[1, :5], prompt[1, :5])
    assert not codes[1, 14:].any()


def test_the_last_iteration_of_every_level_is_greedy():
    model = small_model()
    codes, film, semantic, _ = run(model, [20, 14], ParallelConfig(iterations=(4, 3, 1)), [3, 5])
    shown = {(level, iteration): (c, h) for level, iteration, c, h in film.frames}
    for level, last in enumerate((4, 3, 1)):
        seen, hidden = shown[level, last]
        with torch.inference_mode():
            best = model.level_logits(model.encode(semantic, seen, hidden, torch.tensor([20, 14])), level).argmax(-1)
        assert hidden[..., level].any()
        assert torch.equal(codes[..., level][hidden[..., level]], best[hidden[..., level]])


def test_thirty_seconds_in_the_papers_setting_take_27_forward_passes():
    model = small_model(num_levels=12)
    passes = []
    model.conformer.register_forward_hook(lambda *_: passes.append(1))
    run(model, [150], ParallelConfig(iterations=(16, 1)))
    assert len(passes) == 27


def test_bf16_is_used_and_agrees_with_float32_but_for_near_ties(monkeypatch):
    monkeypatch.setattr("soundstorm.models.devices._has_bf16_products", lambda: True)
    model, seen = small_model(), []
    model.conformer.blocks[0].attention.output.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    results = [run(model, [60], ParallelConfig(iterations=(1,), precision=name))[0] for name in ("no", "bf16")]
    assert set(seen[:3]) == {torch.float32} and set(seen[3:]) == {torch.bfloat16}
    assert (results[0][..., 0] == results[1][..., 0]).float().mean() > 0.9


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is 'int8'"):
        ParallelConfig(precision="int8")


def slow_decode(model, semantic, lengths, config, prompts, prompt, seeds):
    """The same with loops over examples, frames and levels, and logits of everything at every pass."""
    results = []
    for b, length in enumerate(lengths):
        passes = sum(config.iterations_of(model.num_levels)) - model.num_levels
        numbers = iter(torch.rand(passes, length, 2, generator=torch.Generator().manual_seed(seeds[b])))
        codes = torch.zeros(length, model.num_levels, dtype=torch.long)
        first = prompts[b] if prompts else 0
        if prompts:
            codes[:first] = prompt[b, :first]
        for level, iterations in enumerate(config.iterations_of(model.num_levels)):
            masked = list(range(first, length))
            of_level = [next(numbers) for _ in range(iterations - 1)]
            for iteration in range(1, iterations + 1):
                if not masked:
                    break
                hidden = torch.zeros(1, length, model.num_levels, dtype=torch.bool)
                hidden[0, first:, level + 1 :] = True
                hidden[0, masked, level] = True
                with torch.inference_mode():
                    logits = model.level_logits(model.encode(semantic[b : b + 1, :length], codes[None], hidden), level)
                    if config.guidance:
                        cut = (semantic[b : b + 1, first:length], codes[None, first:], hidden[:, first:])
                        logits[:, first:] += config.guidance * (
                            logits[:, first:] - model.level_logits(model.encode(*cut), level)
                        )
                left = masked_after(length - first, iteration, iterations)
                if left == 0:
                    codes[masked, level] = logits[0, masked].argmax(-1)
                    break
                ranked = []
                for t in masked:
                    log_probability = logits[0, t].log_softmax(-1)
                    drawn, noisy = of_level[iteration - 1][t]
                    likely = (logits[0, t].double() / config.temperature).exp()
                    token, reached = 0, likely[0]
                    while reached <= drawn * likely.sum():  # as far as the number reaches into the distribution
                        token += 1
                        reached = reached + likely[token]
                    gumbel = -torch.log(-torch.log(noisy.clamp(1e-20, 1.0 - 1e-7)))
                    shake = config.choice_temperature * (1 - iteration / iterations) * gumbel
                    ranked.append((-float(log_probability[token] + shake), t, token))
                for _, t, token in sorted(ranked)[: len(masked) - left]:
                    codes[t, level] = token
                    masked.remove(t)
        results.append(codes)
    return results


@pytest.mark.parametrize("prompts", [None, [3, 5, 1]])
@pytest.mark.parametrize("guidance", [0.0, 0.7])
def test_decoding_equals_its_slow_twin(prompts, guidance):
    model, lengths = small_model(), [20, 14, 6]
    config = ParallelConfig(iterations=(9, 3, 1), temperature=0.8, guidance=guidance)
    codes, _, semantic, prompt = run(model, lengths, config, prompts, seeds=[4, 5, 6])
    expected = slow_decode(model, semantic, lengths, config, prompts, prompt, [4, 5, 6])
    for b, length in enumerate(lengths):
        assert torch.equal(codes[b, :length], expected[b])


def slow_grouped_decode(model, semantic, lengths, config, prompts, prompt, seeds):
    """Groups with loops: a stage's tokens are cells (t, g), and the best of all cells are kept."""
    results, groups = [], model.groups
    for b, length in enumerate(lengths):
        counts = config.iterations_of(model.num_stages)
        shape = (sum(counts) - len(counts), length, groups, 2)
        numbers = iter(torch.rand(shape, generator=torch.Generator().manual_seed(seeds[b])))
        codes, first = torch.zeros(length, model.num_levels, dtype=torch.long), prompts[b]
        codes[:first] = prompt[b, :first]
        for stage, iterations in enumerate(counts):
            masked = [(t, g) for t in range(first, length) for g in range(groups)]
            of_stage = [next(numbers) for _ in range(iterations - 1)]
            for iteration in range(1, iterations + 1):
                hidden = torch.zeros(1, length, model.num_levels, dtype=torch.bool)
                hidden[0, first:, (stage + 1) * groups :] = True
                for t, g in masked:
                    hidden[0, t, stage * groups + g] = True
                with torch.inference_mode():
                    features = model.encode(semantic[b : b + 1, :length], codes[None], hidden)[0]
                    logits = [model.level_logits(features, q) for q in levels_of_stage(stage, groups)]
                left = masked_after((length - first) * groups, iteration, iterations)
                if left == 0:
                    for t, g in masked:
                        codes[t, stage * groups + g] = logits[g][t].argmax()
                    break
                ranked = []
                for t, g in masked:
                    drawn, noisy = of_stage[iteration - 1][t, g]
                    likely = (logits[g][t].double() / config.temperature).softmax(-1).cumsum(-1)
                    token = int((likely <= drawn * likely[-1]).sum())
                    shake = config.choice_temperature * (1 - iteration / iterations)
                    gumbel = -torch.log(-torch.log(noisy.clamp(1e-20, 1.0 - 1e-7)))
                    ranked.append((-float(logits[g][t].log_softmax(-1)[token] + shake * gumbel), t, g, token))
                for _, t, g, token in sorted(ranked)[: len(masked) - left]:
                    codes[t, stage * groups + g] = token
                    masked.remove((t, g))
        results.append(codes)
    return results


@pytest.mark.parametrize("combine", ["sum", "unet"])
def test_decoding_of_groups_equals_its_slow_twin(combine, monkeypatch):
    monkeypatch.setattr("tests.decoding.test_parallel.SMALL", dataclasses.replace(SMALL, combine=combine))
    model, lengths, prompts = small_model(num_levels=4, groups=2), [12, 9, 4], [3, 0, 1]
    config = ParallelConfig(iterations=(6, 2), temperature=0.8)
    codes, film, semantic, prompt = run(model, lengths, config, prompts, seeds=[4, 5, 6])
    assert [frame[:2] for frame in film.frames] == [(0, i) for i in range(1, 7)] + [(1, 1), (1, 2)]
    expected = slow_grouped_decode(model, semantic, lengths, config, prompts, prompt, [4, 5, 6])
    for b, length in enumerate(lengths):
        assert torch.equal(codes[b, :length], expected[b])


@pytest.mark.parametrize("options", [{"prior": 0.7}, {"entropy_bound": 4.0}, {"guidance": 0.7}], ids=str)
def test_a_batch_of_groups_equals_single_utterances(options):
    model, lengths, prompts = small_model(num_levels=4, groups=2), [12, 9, 4], [3, 5, 1]
    config = ParallelConfig(iterations=(5, 1), **options)
    batched, film, semantic, prompt = run(model, lengths, config, prompts, seeds=[7, 8, 9])
    for (_, _, before, hidden), (_, _, after, _) in zip(film.frames, film.frames[1:]):
        assert not ((before != after) & ~hidden).any()  # what is committed stays
    for b, length in enumerate(lengths):
        extra = {"prompt": prompt[b : b + 1, : prompts[b]], "prompt_lengths": torch.tensor([prompts[b]])}
        alone = decode(model, semantic[b : b + 1, :length], torch.tensor([length]), config, seeds=[7 + b], **extra)
        assert torch.equal(alone[0], batched[b, :length])


@pytest.mark.parametrize("frames", [3, 8, 16, 40])
@pytest.mark.parametrize("options", [{}, {"entropy_bound": 4.0}], ids=str)
def test_the_last_pass_over_a_level_is_greedy_however_few_the_frames(frames, options):
    model, config = small_model(), ParallelConfig(iterations=(16, 1, 1), temperature=3.0, **options)
    codes, film, semantic, _ = run(model, [frames], config, seeds=[0])
    _, iteration, before, hidden = [frame for frame in film.frames if frame[0] == 0][-1]
    assert iteration <= min(frames, 16)
    with torch.inference_mode():
        logits = model.level_logits(model.encode(semantic, before, hidden), 0)
    last = hidden[0, :, 0]
    assert last.any() and torch.equal(codes[0, last, 0], logits[0, last].argmax(-1))


def test_one_iteration_per_level_is_greedy_whatever_the_seed():
    model, config = small_model(), ParallelConfig(iterations=(1,))
    first, second = (run(model, [20], config, seeds=[seed])[0] for seed in (1, 2))
    assert torch.equal(first, second)


def test_seeded_runs_repeat_and_other_seeds_differ():
    model, config = small_model(), ParallelConfig(iterations=(8, 1))
    a, b, c = (run(model, [30], config, seeds=[seed])[0] for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize("options", [{}, {"prior": 0.7}, {"entropy_bound": 4.0}, {"guidance": 0.7}], ids=str)
@pytest.mark.parametrize("prompts", [None, [3, 5, 1]])
def test_a_batch_equals_single_utterances(prompts, options):
    model, lengths, config = small_model(), [20, 14, 4], ParallelConfig(iterations=(5, 2, 1), **options)
    batched, _, semantic, prompt = run(model, lengths, config, prompts, seeds=[7, 8, 9])
    for b, length in enumerate(lengths):
        extra = {}
        if prompts:
            extra = {"prompt": prompt[b : b + 1, : prompts[b]], "prompt_lengths": torch.tensor([prompts[b]])}
        alone = decode(model, semantic[b : b + 1, :length], torch.tensor([length]), config, seeds=[7 + b], **extra)
        assert torch.equal(alone[0], batched[b, :length])


@pytest.mark.parametrize("rates", [(50, 75), (50, 12.5), (12.5, 50)])
def test_the_generator_conditions_each_frame_on_the_token_in_its_middle(rates):
    model, seen = small_model(), []
    semantic_info, acoustic_info = (
        TokenizerInfo(kind, kind, "f" * 64, rate, 3, 11, 16000)
        for kind, rate in zip(("semantic", "acoustic"), rates, strict=True)
    )
    generator = SoundStormGenerator(model, semantic_info, acoustic_info)
    model.semantic.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    semantic = [np.random.default_rng(n).integers(0, 7, n) for n in (40, 23)]
    config = ParallelConfig(iterations=(2, 1))
    together = generator.acoustic_tokens(semantic, config, seeds=[1, 2])
    for row, (tokens, codes) in enumerate(zip(semantic, together, strict=True)):
        middles = [(t + 0.5) / rates[1] for t in range(len(codes))]
        expected = [tokens[int(middle * rates[0] + 1e-9)] for middle in middles]
        assert any(expected == shown[: len(codes)].tolist() for shown in seen[0])
        assert abs(len(codes) / rates[1] - len(tokens) / rates[0]) <= 0.5001 / rates[1]
        (alone,) = generator.acoustic_tokens([tokens], config, seeds=[1 + row])
        np.testing.assert_array_equal(alone, codes)


def test_padded_features_equal_unpadded_ones():
    model = small_model()
    torch.manual_seed(0)
    semantic, codes = torch.randint(0, 7, (1, 12)), torch.randint(0, 11, (1, 12, 3))
    hidden = torch.rand(1, 12, 3) < 0.5
    alone = model.encode(semantic, codes, hidden)
    padded = model.encode(
        torch.cat([semantic, torch.randint(0, 7, (1, 6))], 1),
        torch.cat([codes, torch.randint(0, 11, (1, 6, 3))], 1),
        torch.cat([hidden, torch.zeros(1, 6, 3, dtype=torch.bool)], 1),
        torch.tensor([12]),
    )
    torch.testing.assert_close(padded[:, :12], alone, rtol=1e-4, atol=1e-5)


def test_what_stands_under_the_mask_does_not_matter():
    model = small_model()
    torch.manual_seed(0)
    semantic, codes = torch.randint(0, 7, (2, 12)), torch.randint(0, 11, (2, 12, 3))
    hidden = torch.rand(2, 12, 3) < 0.5
    other = torch.where(hidden, torch.randint(0, 11, codes.shape), codes)
    assert torch.equal(model.encode(semantic, codes, hidden), model.encode(semantic, other, hidden))


def test_a_prompt_that_leaves_nothing_to_fill_in_is_refused():
    with pytest.raises(ValueError, match=r"prompts of \[9\] frames leave nothing to fill in of \[9\] frames"):
        run(small_model(), [9], ParallelConfig(), [9])


def test_more_iteration_counts_than_levels_are_refused():
    with pytest.raises(ValueError, match="given for 4 levels, the codec has 3"):
        ParallelConfig(iterations=(16, 8, 4, 1)).iterations_of(3)
    assert ParallelConfig().iterations_of(4) == [16, 1, 1, 1]


def test_the_kept_positions_are_the_most_confident_by_a_slow_twin():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        confidence = torch.randn(3, 15, generator=generator)
        masked = torch.rand(3, 15, generator=generator) < 0.6
        stay = (masked.sum(-1) * 0.4).long()
        kept = keep_most_confident(confidence, masked, stay)
        for b in range(3):
            positions = sorted((t for t in range(15) if masked[b, t]), key=lambda t: -confidence[b, t])
            expected = set(positions[: len(positions) - int(stay[b])])
            assert {t for t in range(15) if kept[b, t]} == expected


def test_sampled_tokens_follow_the_distribution_and_its_temperature():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0]).expand(20000, 4)
    numbers = uniforms([0], [20000], 1, 20000)[0, :, 0]
    for temperature in (1.0, 0.5):
        tokens = choose(logits, numbers, temperature=temperature, top_k=0)
        share = torch.bincount(tokens, minlength=4) / 20000
        torch.testing.assert_close(share, torch.softmax(logits[0] / temperature, 0), atol=0.01, rtol=0)
    assert set(choose(logits, numbers, temperature=1.0, top_k=2).unique().tolist()) == {0, 1}
    assert not choose(logits, numbers, temperature=0.0, top_k=0).any()


def test_random_numbers_are_an_examples_own_and_independent():
    seeds, lengths = [3, 4, 3, 2**63 - 1], [500, 700, 500, 600]
    numbers = uniforms(seeds, lengths, 8, 720).view(8, 4, 720, 2)
    for b, length in enumerate(lengths):
        alone = uniforms([seeds[b]], [length], 8, length).view(8, length, 2)
        assert torch.equal(alone, numbers[:, b, :length]) and not numbers[:, b, length:].any()
    # Streams of other seeds, passes, uses and frames: uniform, and none tells anything of another.
    streams = [*numbers[:, 0, :500].permute(0, 2, 1).reshape(16, 500), *numbers[:, 1, :500, 0], *numbers[:, 3, :500, 1]]
    for stream in streams:
        assert kstest(stream.numpy(), "uniform").pvalue > 1e-4
        shifted = [np.corrcoef(stream[lag:], stream[:-lag])[0, 1] for lag in (1, 2, 7)]
        assert np.abs(shifted).max() < 4.5 / np.sqrt(490)
    correlations = np.corrcoef(np.stack(streams)) - np.eye(len(streams))
    assert np.abs(correlations).max() < 4.5 / np.sqrt(500)


def test_the_bound_on_entropies_equals_its_slow_twin():
    generator = torch.Generator().manual_seed(0)
    for bound in (0.0, 0.5, 3.0, 1e9):
        confidence, masked = torch.randn(4, 12, generator=generator), torch.rand(4, 12, generator=generator) < 0.6
        entropies = torch.rand(4, 12, generator=generator)
        found = count_within_bound(confidence, entropies, masked, bound)
        for b in range(4):
            chosen = []
            for t in sorted((t for t in range(12) if masked[b, t]), key=lambda t: -confidence[b, t]):
                kept = [*chosen, float(entropies[b, t])]
                if sum(kept) - max(kept) > bound + 1e-6:
                    break
                chosen = kept
            assert found[b] == len(chosen)


def test_entropies_are_in_nats():
    assert entropy(torch.zeros(2, 8)).tolist() == pytest.approx([math.log(8)] * 2)
    assert entropy(torch.tensor([[50.0, 0.0]])).item() == pytest.approx(0.0, abs=1e-6)


def test_the_mean_probability_of_tokens_is_that_of_their_example():
    logits, example = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 0, 2, 2, 0])
    found = mean_log_probability(logits, example, 3).exp()
    for b in (0, 2):
        mean = sum(logits[m].softmax(0) for m in range(6) if example[m] == b) / (example == b).sum()
        torch.testing.assert_close(found[b], mean, rtol=1e-4, atol=1e-6)


def test_no_bound_is_the_schedule_and_an_endless_one_a_single_greedy_pass_for_each_level():
    model, greedy = small_model(), ParallelConfig(iterations=(1,))
    plain, film, _, _ = run(model, [20, 14], ParallelConfig(iterations=(5, 1)), [3, 5])
    same, same_film, _, _ = run(model, [20, 14], ParallelConfig(iterations=(5, 1), entropy_bound=1e-9), [3, 5])
    assert torch.equal(plain, same) and len(film.frames) == len(same_film.frames) == 7
    early, film, _, _ = run(model, [20, 14], ParallelConfig(iterations=(5, 1), entropy_bound=1e9), [3, 5])
    assert len(film.frames) == 3
    assert torch.equal(early, run(model, [20, 14], greedy, [3, 5])[0])


def test_with_the_prior_tokens_that_are_likely_everywhere_come_later():
    """A network that always says 0 at three frames in four, surely; at others, less surely, a token of their own."""

    class Knowing(torch.nn.Module):
        num_levels, groups, own = 2, 1, torch.arange(1, 41)

        def encode(self, semantic, codes, hidden, lengths, rows):
            return rows

        def level_logits(self, rows, level):
            logits = torch.zeros(len(rows), 41)
            silent = rows % 4 != 0
            logits[silent, 0] = 9.0
            logits[~silent, self.own[rows[~silent]]] = 7.0
            return logits

    shares = []
    for prior in (0.0, 1.0):
        film, config = Film(), ParallelConfig((4, 1), prior=prior, choice_temperature=0.0, temperature=0.0)
        decode(Knowing(), torch.zeros(1, 40).long(), torch.tensor([40]), config, watch=film)
        committed = ~film.frames[1][3][0, :, 0]
        shares.append(float((committed.nonzero() % 4 == 0).float().mean()))
    assert shares == [0.0, 1.0]


@pytest.mark.parametrize("name", ["prior", "entropy_bound", "guidance"])
def test_options_below_zero_are_refused(name):
    with pytest.raises(ValueError, match=f"decode.{name} is -1"):
        ParallelConfig(**{name: -1.0})
