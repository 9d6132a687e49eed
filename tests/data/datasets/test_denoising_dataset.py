"""Examples of the pre-training: what is deleted, what is left, what is to be written."""

import json

import numpy as np
import pytest

from soundstorm.data.archive import TokenArchive, write_tokens
from soundstorm.data.datasets.denoising_dataset import DenoisingDataset, token_text_size, tokens_as_text
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import EOS_ID
from tests.text_to_semantic_toy import INFO, write_corpus


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "data", utterances=12)


def is_subsequence(part, whole):
    whole = iter(whole)
    return all(any(item == other for other in whole) for item in part)


def test_tokens_become_ids_that_end_and_share_none_with_the_special_ones():
    assert tokens_as_text(np.array([0, 8, 8], np.uint16)).tolist() == [3, 11, 11, EOS_ID]
    assert token_text_size(9) == 12


@pytest.mark.parametrize("deduplicate", [False, True])
def test_what_is_left_keeps_its_order_and_everything_is_to_be_written(corpus, deduplicate):
    dataset = DenoisingDataset(corpus, deduplicate=deduplicate)
    for index in range(len(dataset)):
        item = dataset[SeededIndex(index, (0, 0, index))]
        archive = TokenArchive(corpus / "semantic.scp")
        tokens = archive[archive.ids[dataset.rows[index]]].astype(int)
        source = [t for i, t in enumerate(tokens) if not deduplicate or i == 0 or t != tokens[i - 1]]
        assert item["tokens"].tolist() == item["inputs"].tolist() == tokens.tolist()
        assert item["text"][-1] == EOS_ID and is_subsequence(item["text"][:-1] - 3, source)
        assert 0 < len(item["text"]) - 1 < len(source)


@pytest.mark.parametrize("deletion", [0.0, 0.3, 0.6])
def test_the_share_that_is_deleted_is_the_one_asked_for(tmp_path, deletion):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 9, 20000)
    write_tokens(tmp_path / "semantic", [("a", tokens)], INFO)
    item = DenoisingDataset(tmp_path, deletion=deletion, deduplicate=False)[SeededIndex(0, (0,))]
    assert (len(item["text"]) - 1) / 20000 == pytest.approx(1 - deletion, abs=0.015)


def test_something_is_always_left(tmp_path):
    write_tokens(tmp_path / "semantic", [("a", np.array([4, 4, 4]))], INFO)
    dataset = DenoisingDataset(tmp_path, deletion=0.99)
    assert all(dataset[SeededIndex(0, (seed,))]["text"].tolist() == [7, EOS_ID] for seed in range(50))


def test_a_visit_repeats_and_another_one_differs(corpus):
    dataset = DenoisingDataset(corpus, token_dropout=0.5, token_noise=0.5)
    one, same, other = (dataset[SeededIndex(3, seed)] for seed in ((0, 1), (0, 1), (0, 2)))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["text"], other["text"])
    assert (one["inputs"] != one["tokens"]).any()


def test_a_batch_is_padded_like_one_with_texts(corpus):
    dataset = DenoisingDataset(corpus)
    items = [dataset[SeededIndex(index, (0, index))] for index in range(4)]
    batch = dataset.collate(items)
    assert batch["text_lengths"].tolist() == [len(item["text"]) for item in items]
    assert batch["lengths"].tolist() == [len(item["tokens"]) for item in items]
    assert batch["text"].shape == (4, int(batch["text_lengths"].max()))


def test_lengths_and_kinds_that_do_not_fit_are_refused(corpus):
    with pytest.raises(ValueError, match="none of 12 utterances lasts between 100 and 200 s"):
        DenoisingDataset(corpus, min_seconds=100, max_seconds=200)
    info = json.loads((corpus / "semantic.json").read_text())
    (corpus / "semantic.json").write_text(json.dumps({**info, "kind": "acoustic"}))
    with pytest.raises(ValueError, match="holds acoustic tokens"):
        DenoisingDataset(corpus)
