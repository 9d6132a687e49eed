"""Parallel decoding of semantic tokens from text: durations, prompts, batches; and that it learns to read."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from soundstorm.data.datasets.dataset_configs import MaskedTextDataConfig
from soundstorm.data.datasets.masked_text_dataset import MaskedTextDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import ByteTokenizer
from soundstorm.decoding import masked_text_generator
from soundstorm.decoding.decoding_config import MaskedTextSamplingConfig
from soundstorm.decoding.letter_durations import (
    PACE_LETTERS,
    allot,
    drawn_durations,
    left_durations,
    pace_of,
    predicted_durations,
)
from soundstorm.decoding.masked_text_generator import MaskedTextGenerator
from soundstorm.models.masked_text_to_semantic import build_masked_text_to_semantic
from soundstorm.models.text_to_semantic_config import MaskedTextLossConfig, MaskedTextToSemanticConfig
from soundstorm.training.masked_text_to_semantic_step import MaskedTextToSemanticStep
from tests.models.test_masked_text_to_semantic import TINY
from tests.text_to_semantic_toy import INFO, random_text, speak, spell, write_corpus

TEXTS = ["abc def", "ha", "cab ab bag hed"]
SAMPLING = MaskedTextSamplingConfig(iterations=4)


def make(seed=0):
    torch.manual_seed(seed)
    model = build_masked_text_to_semantic(TINY, text_vocab_size=384, num_tokens=INFO.codebook_size)
    for name, parameter in model.named_parameters():
        if not name.endswith("norm.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return MaskedTextGenerator(model, ByteTokenizer(), INFO)


@pytest.fixture(scope="module")
def reader():
    return make()


def prompts_of(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, INFO.codebook_size, length) for length in lengths]


# -- durations ---------------------------------------------------------------------------------------------------------


def test_frames_are_shared_out_to_the_last_one_in_proportion():
    rng = np.random.default_rng(0)
    for _ in range(300):
        wanted = rng.exponential(4.0, rng.integers(1, 30)) * (rng.random() < 0.9)
        wanted[rng.random(len(wanted)) < 0.2] = 0.0
        total = int(rng.integers(1, 200))
        given = allot(wanted, total)
        assert given.sum() == total and (given >= 0).all()
        if wanted.any():
            assert not given[wanted == 0].any()
            wants = wanted > 0
            if total >= wants.sum():
                assert (given[wants] >= 1).all()
    assert allot(np.array([2.0, 4.0, 0.0, 6.0]), 12).tolist() == [2, 4, 0, 6]
    assert allot(np.array([2.0, 3.0, 3.0]), 13).tolist() == [3, 5, 5]
    assert allot(np.zeros(3), 5).tolist() == [0, 0, 5]  # after a prompt of the whole text


def test_durations_are_means_or_drawn_as_often_as_likely():
    logits = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    shares = logits[0].softmax(-1).numpy()
    mean = float((shares * np.arange(1, 7)).sum())
    assert predicted_durations(logits) == pytest.approx([mean])
    assert drawn_durations(logits, torch.rand(1), temperature=0) == pytest.approx([mean])
    many = logits.expand(20_000, -1)
    drawn = drawn_durations(many, torch.rand(20_000, generator=torch.Generator().manual_seed(1)), temperature=1.0)
    assert np.allclose(np.bincount(drawn.astype(int), minlength=7)[1:] / 20_000, shares, atol=0.02)


def test_a_prompt_sets_the_pace_and_what_is_left_of_its_last_letter_is_spoken():
    predicted = np.full(PACE_LETTERS + 5, 4.0)
    heard = np.zeros(len(predicted), np.int64)
    heard[: PACE_LETTERS + 1] = 6
    heard[PACE_LETTERS] = 1
    assert pace_of(heard, predicted) == 1.5
    assert pace_of(np.where(heard, 30, 0), predicted) == 2.0
    heard[3:] = 0
    assert pace_of(heard, predicted) == 1.0  # too few letters to tell
    wanted, heard = np.array([3.0, 5.0, 4.0, 2.0]), np.array([3, 2, 0, 0])
    assert left_durations(wanted, heard, ended=False).tolist() == [0, 3, 4, 2]
    assert left_durations(wanted, heard, ended=True).tolist() == [0, 0, 4, 2]
    assert left_durations(wanted, np.zeros(4, int), ended=True).tolist() == wanted.tolist()


@pytest.mark.parametrize("prompts", [None, (0, 8, 12)])
@pytest.mark.parametrize("frames", [(40, 7, 33), (3, 1, 60)])  # also of fewer frames than letters
def test_a_given_duration_is_met_to_the_frame(reader, frames, prompts):
    given = None if prompts is None else prompts_of(*prompts)
    made = reader.semantic_tokens(TEXTS, SAMPLING, seeds=[1, 2, 3], prompts=given, frames=frames)
    assert [len(tokens) for tokens in made] == list(frames)


def test_speed_divides_the_length(reader):
    texts = TEXTS[::2]  # of some letters
    slow, usual, fast = (
        reader.semantic_tokens(texts, replace(SAMPLING, speed=speed), seeds=[0, 1]) for speed in (0.5, 1.0, 2.0)
    )
    for one, two, three in zip(slow, usual, fast, strict=True):
        assert abs(len(one) - 2 * len(two)) <= 1 and abs(len(two) - 2 * len(three)) <= 1


def test_durations_are_drawn_by_the_seed(reader):
    sampled = replace(SAMPLING, duration_temperature=1.0)
    first, again, other = (reader.semantic_tokens(TEXTS, sampled, seeds=[s, s + 1, s + 2]) for s in (5, 5, 50))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert [len(tokens) for tokens in first] != [len(tokens) for tokens in other]
    means = (reader.semantic_tokens(TEXTS, SAMPLING, seeds=[s] * 3) for s in (5, 6))
    assert all(len(one) == len(two) for one, two in zip(*means, strict=True))


def test_what_is_longer_than_the_limit_is_cut(reader, caplog):
    made = reader.semantic_tokens(TEXTS, replace(SAMPLING, max_seconds=0.4), seeds=[0, 1, 2])
    assert max(len(tokens) for tokens in made) == 20
    assert "of 3 texts are longer than 0.4 s and were cut, the first is 'abc def'" in caplog.text


# -- prompts and batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new_texts", [None, ["def", "a", "hed"]])
def test_a_prompt_is_never_touched(reader, monkeypatch, new_texts):
    filled = []

    def watching(*arguments, **options):
        filled.append((masked_text_decode(*arguments, **options), options["prompt_lengths"]))
        return filled[-1][0]

    masked_text_decode = masked_text_generator.decode
    monkeypatch.setattr(masked_text_generator, "decode", watching)
    prompts = prompts_of(25, 0, 40)
    made = reader.semantic_tokens(TEXTS, SAMPLING, seeds=[1, 2, 3], prompts=prompts, new_texts=new_texts)
    kept = {}
    for codes, lengths in filled:
        for row, length in zip(codes, lengths.tolist(), strict=True):
            kept[length] = row[:length, 0].numpy()
    assert sorted(kept) == [0, 25, 40]
    assert all(np.array_equal(kept[len(prompt)], prompt) for prompt in prompts)
    assert all(len(tokens) >= 1 for tokens in made)


@pytest.mark.parametrize("duration_temperature", [0.0, 1.0])
@pytest.mark.parametrize("new_texts", [None, ["def", "a", "hed"]])
@pytest.mark.parametrize("batch_seconds", [0.1, 30.0])
def test_a_text_is_said_in_a_batch_as_alone(duration_temperature, new_texts, batch_seconds):
    reader = make()
    reader.batch_seconds = batch_seconds
    sampling, prompts = replace(SAMPLING, duration_temperature=duration_temperature), prompts_of(25, 0, 40)
    new = {} if new_texts is None else {"new_texts": new_texts}
    together = reader.semantic_tokens(TEXTS, sampling, seeds=[3, 1, 4], prompts=prompts, **new)
    for row, (seed, tokens) in enumerate(zip([3, 1, 4], together, strict=True)):
        one = {name: values[row : row + 1] for name, values in new.items()}
        (alone,) = reader.semantic_tokens([TEXTS[row]], sampling, seeds=[seed], prompts=[prompts[row]], **one)
        assert np.array_equal(alone, tokens)


def test_a_prompt_of_known_words_is_aligned_with_these_alone(reader):
    text = torch.from_numpy(ByteTokenizer().encode("abc def"))[None]
    lengths, (prompt,) = torch.tensor([text.shape[1]]), map(torch.from_numpy, prompts_of(30))
    (path,) = reader._paths(text, lengths, [prompt], [3])
    assert path[0] == 0 and path[-1] == 2 and (path.diff() >= 0).all() and (path.diff() <= 1).all()
    (path,) = reader._paths(text, lengths, [prompt], None)
    assert path[0] == 0 and len(path) == 30


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"texts": "abc"}, "expected a list of texts"),
        ({"texts": ["..."]}, "text 1: nothing to pronounce"),
        ({"seeds": [1, 2]}, "2 seeds for 1 texts"),
        ({"prompts": []}, "0 prompts for 1 texts"),
        ({"prompts": [np.array([99])]}, "prompt 1 has tokens outside"),
        ({"frames": [0]}, r"frames are \[0\] for 1 texts; give at least 1"),
    ],
)
def test_what_cannot_be_said_is_refused(reader, arguments, message):
    given = {"texts": ["abc"], "config": SAMPLING, "seeds": [0]} | arguments
    with pytest.raises(ValueError, match=message):
        reader.semantic_tokens(**given)
    assert reader.semantic_tokens([], SAMPLING, seeds=[]) == []


@pytest.mark.parametrize(
    "options, message",
    [
        ({"speed": 0.0}, "masked_text.speed is 0.0, expected 0.25 to 4"),
        ({"speed": 9.0}, "masked_text.speed is 9.0, expected 0.25 to 4"),
        ({"duration_temperature": -1.0}, "masked_text.duration_temperature is -1.0, expected at least 0"),
        ({"max_seconds": 0.0}, "masked_text.max_seconds is 0.0"),
        ({"iterations": 0}, "masked_text.iterations is 0, expected 1 to 10000"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MaskedTextSamplingConfig(**options)


def test_examples_are_hidden_as_a_whole_as_often_as_asked(tmp_path):
    corpus = write_corpus(tmp_path / "data", utterances=40)

    def masks(whole):
        data = MaskedTextDataset(corpus, ByteTokenizer(), MaskedTextDataConfig(whole=whole))
        return [data[SeededIndex(i % 40, (0, i, i))]["mask"] for i in range(400)]

    plain, half = masks(0.0), masks(0.5)
    hidden = np.array([mask.dropped.all() for mask in half])
    assert all(mask.dropped.all() for mask in masks(1.0))
    assert hidden.mean() - np.mean([mask.dropped.all() for mask in plain]) == pytest.approx(0.5, abs=0.1)
    for one, other, whole in zip(plain, half, hidden, strict=True):  # nothing else changes
        assert one.prompt_end == other.prompt_end and (whole or (one.dropped == other.dropped).all())


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that has learned to read the toy language."""
    corpus = write_corpus(tmp_path_factory.mktemp("toy") / "data", utterances=300)
    dataset = MaskedTextDataset(corpus, ByteTokenizer(), MaskedTextDataConfig(unprompted=0.5))
    torch.manual_seed(0)
    config = MaskedTextToSemanticConfig(
        encoder_layers=1, encoder_dim=32, encoder_heads=2, encoder_ffn_dim=32, encoder_convolutions=1, head_dim=16,
        layers=1, width=32, heads=2, inner=64, kernel=3, expansion=1, duration_layers=1, dropout=0.0,
    )  # fmt: skip
    model = build_masked_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size)
    step = MaskedTextToSemanticStep(model, MaskedTextLossConfig())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    rng = np.random.default_rng(0)
    for number in range(120):
        items = [dataset[SeededIndex(int(i), (0, number, int(i)))] for i in rng.integers(0, len(dataset), 16)]
        loss = step.loss("model", step.networks, dataset.collate(items))
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    return MaskedTextGenerator(model, ByteTokenizer(), INFO)


@pytest.mark.parametrize("iterations", [1, 4])
def test_it_reads_new_texts(trained, iterations):
    rng = np.random.default_rng(99)
    texts = [random_text(rng) for _ in range(8)]
    sampling = MaskedTextSamplingConfig(iterations=iterations, temperature=0.5, duration_temperature=0.5)
    spoken = trained.semantic_tokens(texts, sampling, seeds=range(8))
    assert sum(spell(tokens).strip() == text for tokens, text in zip(spoken, texts, strict=True)) >= 6
    frames = sum(len(text) for text in texts) * 5.5
    assert sum(map(len, spoken)) == pytest.approx(frames, rel=0.2)


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("speed", [0.8, 1.0, 1.5])
def test_segments_keep_the_pace_that_was_asked_for(trained, speed, prompted):
    reader, rng = deepcopy(trained), np.random.default_rng(5)
    torch.nn.init.zeros_(reader.model.duration.head.weight)  # all letters are predicted alike, of 5 frames
    reader.model.duration.head.bias.data = 100.0 * (torch.arange(len(reader.model.duration.head.bias)) == 4)
    texts, sampling = [f"{random_text(rng)} {random_text(rng)} " for _ in range(5)], replace(SAMPLING, speed=speed)
    given = np.zeros(0, np.int64)
    if prompted:  # by somebody who speaks more slowly than predicted
        given = np.repeat(speak(texts[0], rng), 2)[: int(8 * len(texts[0]))]
    known, recorded, paces = texts[0] if prompted else "", len(given), []
    for text in texts[1:]:
        (tokens,) = reader.semantic_tokens(
            [known + text], sampling, seeds=[0], prompts=[given], new_texts=[text], recorded=[recorded]
        )
        paces.append(len(tokens) / len(text))
        known, given = known + text, np.concatenate([given, tokens])
    assert paces == pytest.approx([paces[0]] * 4, rel=0.06)
    assert prompted or paces[0] == pytest.approx(5 / speed, rel=0.06)


def test_it_goes_on_after_a_prompt(trained):
    rng = np.random.default_rng(7)
    firsts, seconds = [random_text(rng) for _ in range(6)], [random_text(rng) for _ in range(6)]
    prompts = [speak(f"{text} ", rng) for text in firsts]
    both = [f"{one} {two}" for one, two in zip(firsts, seconds, strict=True)]
    for new in (None, seconds):
        spoken = trained.semantic_tokens(both, SAMPLING, seeds=range(6), prompts=prompts, new_texts=new)
        right = sum(spell(tokens).strip() == text for tokens, text in zip(spoken, seconds, strict=True))
        assert right >= 4
