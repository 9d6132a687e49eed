"""Examples of text-to-semantic training."""

import json
import logging

import numpy as np
import pytest

from soundstorm.data.datasets import text_semantic_dataset
from soundstorm.data.datasets.text_semantic_dataset import HIDDEN, TextSemanticDataset, _span_mask
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import ByteTokenizer
from soundstorm.training.batches import make_sampler
from soundstorm.training.training_config import TrainerConfig
from tests.text_to_semantic_toy import write_corpus


@pytest.fixture()
def corpus(tmp_path):
    return write_corpus(tmp_path / "data", utterances=40)


def make(corpus, **settings):
    return TextSemanticDataset(corpus, ByteTokenizer(), **settings)


def test_an_example_is_a_transcript_and_all_its_frames(corpus):
    dataset = make(corpus)
    item = dataset[SeededIndex(3, (0, 0, 3))]
    assert (
        ByteTokenizer().decode(item["text"]) == (corpus / "text").read_text().splitlines()[3].split(" ", 1)[1]
    )
    assert np.array_equal(item["tokens"], dataset.archive[dataset.ids[3]])
    assert np.array_equal(item["inputs"], item["tokens"])
    assert dataset.durations[3] == len(item["tokens"]) / 50


def change_text(corpus, **texts):
    lines = (corpus / "text").read_text().splitlines()
    for number, text in texts.items():
        lines[int(number[1:])] = f"{lines[int(number[1:])].split()[0]} {text}"
    (corpus / "text").write_text("".join(f"{line}\n" for line in lines))


def test_all_texts_without_words_are_named_before_training(corpus, monkeypatch):
    monkeypatch.setattr(text_semantic_dataset, "MOST_TEXTS_CHECKED", 3)
    ids = make(corpus).ids[:]
    change_text(corpus, u7="... !?", u8="-", u20="?")
    with pytest.raises(ValueError, match=f"{ids[7]}, {ids[8]}, {ids[20]}: nothing to pronounce in 3 of 40"):
        make(corpus)


def test_a_text_that_does_not_belong_to_its_audio_is_named_and_fills_a_batch_of_its_own(corpus, caplog):
    plain = make(corpus)
    assert np.array_equal(plain.batch_lengths, plain.durations)
    change_text(corpus, u7="ab " * 3000)
    with caplog.at_level(logging.WARNING):
        dataset = make(corpus)
    assert (
        "1 of 40 transcripts have more than" in caplog.text and f"({dataset.ids[7]}); do they" in caplog.text
    )
    assert dataset.batch_lengths[7] > 100 and np.array_equal(
        np.delete(dataset.batch_lengths, 7), np.delete(plain.durations, 7)
    )
    batches = make_sampler(
        dataset, TrainerConfig(batch_seconds=20), rank=0, world_size=1, shuffle=True
    ).global_batches()
    assert [7] in batches and all(len(batch) > 1 for batch in batches if 7 not in batch)


def test_an_example_is_a_function_of_its_draw(corpus):
    dataset = make(corpus, token_dropout=0.5, token_noise=0.5, join_probability=0.5)
    first, again, other = (dataset[SeededIndex(1, (0, epoch, 1))] for epoch in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["inputs"], other["inputs"])


def test_corrupting_inputs_leaves_targets_alone(corpus):
    dataset, clean = make(corpus, token_dropout=1.0, token_noise=0.5), make(corpus)
    hidden = 0
    for index in range(len(dataset)):
        item = dataset[SeededIndex(index, (0, 0, index))]
        assert np.array_equal(item["tokens"], clean[SeededIndex(index, (0, 0, index))]["tokens"])
        hidden += (item["inputs"] == HIDDEN).mean() / len(dataset)
    assert 0.3 < hidden < 0.7  # every example draws its share from 0 to 1


@pytest.mark.parametrize("share, span", [(0.1, 1.0), (0.3, 4.0), (0.6, 10.0), (0.8, 1.0), (0.9, 4.0)])
def test_spans_have_the_share_and_length_asked_for_or_are_longer_where_gaps_are_shortest(share, span):
    mask = _span_mask(200_000, share, span, np.random.default_rng(0))
    starts = np.count_nonzero(np.diff(mask.astype(int)) == 1)
    assert mask.mean() == pytest.approx(share, rel=0.1)
    assert mask.sum() / starts == pytest.approx(max(span, share / (1 - share)), rel=0.1)


def test_joined_examples_are_two_utterances_of_one_speaker(corpus):
    dataset = make(corpus, join_probability=1.0)
    clean = make(corpus)
    parts = {utt: clean[SeededIndex(i, (0,))] for i, utt in enumerate(clean.ids)}
    for index in range(10):
        item = dataset[SeededIndex(index, (0, 0, index))]
        first = parts[dataset.ids[index]]["tokens"]
        assert np.array_equal(item["tokens"][: len(first)], first)
        rest = item["tokens"][len(first) :]
        partners = [utt for utt, part in parts.items() if np.array_equal(part["tokens"], rest)]
        assert partners and partners[0][:2] == dataset.ids[index][:2]
        decode = ByteTokenizer().decode
        texts = (decode(parts[utt]["text"]) for utt in (dataset.ids[index], partners[0]))
        assert decode(item["text"]) == " ".join(texts)


def test_joining_stays_within_the_longest_duration(corpus):
    longest = make(corpus).durations.max()
    dataset = make(corpus, join_probability=1.0, max_seconds=float(longest))
    lengths = [len(dataset[SeededIndex(i, (0, 0, i))]["tokens"]) / 50 for i in range(len(dataset))]
    assert max(lengths) <= longest


def test_collate_pads_with_zeros(corpus):
    dataset = make(corpus)
    items = [dataset[SeededIndex(i, (0, 0, i))] for i in range(5)]
    batch = dataset.collate(items)
    for row, item in enumerate(items):
        assert batch["lengths"][row] == len(item["tokens"]) and batch["text_lengths"][row] == len(
            item["text"]
        )
        assert np.array_equal(batch["tokens"][row, : len(item["tokens"])].numpy(), item["tokens"])
        assert not batch["text"][row, len(item["text"]) :].any()


def test_pace_is_frames_per_letter(corpus):
    slowest, fastest = make(corpus).speaking_rates()
    assert 3 <= fastest < slowest <= 8


def test_utterances_of_other_lengths_are_left_out(corpus):
    everything = make(corpus)
    middle = float(np.median(everything.durations))
    assert make(corpus, max_seconds=middle).durations.max() <= middle
    with pytest.raises(ValueError, match="none of 40 utterances lasts between 100 and"):
        make(corpus, min_seconds=100)


def test_a_few_utterances_without_tokens_are_a_warning(corpus, caplog):
    with open(corpus / "text", "a") as stream:
        stream.write("zz-extra a b\n")
    assert len(make(corpus)) == 40
    assert "1 of 41 utterances have no tokens" in caplog.text


def test_many_utterances_without_tokens_are_an_error(corpus):
    with open(corpus / "text", "a") as stream:
        stream.writelines(f"zz-{i} a b\n" for i in range(9))
    with pytest.raises(
        ValueError, match="9 of 49 utterances have no tokens .* extract the semantic tokens again"
    ):
        make(corpus)


def test_no_transcripts_is_an_error(corpus):
    (corpus / "text").unlink()
    with pytest.raises(
        FileNotFoundError, match="text: no such file; text-to-semantic training needs transcripts"
    ):
        make(corpus)


def test_an_empty_transcript_is_named(corpus):
    lines = (corpus / "text").read_text().splitlines(keepends=True)
    (corpus / "text").write_text("".join(["s0-0000 ...\n", *lines[1:]]))
    with pytest.raises(ValueError, match="s0-0000: nothing to pronounce"):
        make(corpus)


def test_acoustic_tokens_are_refused(corpus):
    info = json.loads((corpus / "semantic.json").read_text())
    (corpus / "semantic.json").write_text(json.dumps({**info, "kind": "acoustic"}))
    with pytest.raises(ValueError, match="holds acoustic tokens, expected semantic tokens"):
        make(corpus)
