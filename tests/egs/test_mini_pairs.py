"""Pairs that egs/mini synthesises for AudioLM's first stage: what is in them, and that a seed repeats them."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader", reason="pip install espeakng-loader")
pytest.importorskip("soxr", reason="pip install soxr")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "egs" / "mini" / "local"))

import corpus_plan  # noqa: E402
import grammar  # noqa: E402
import synthesise_pairs  # noqa: E402

from soundstorm.scoring.likelihood_pairs import read_pairs, recordings  # noqa: E402


def test_words_are_of_the_corpus_and_non_words_are_not():
    pairs = synthesise_pairs.word_pairs(0)
    assert len(pairs) == synthesise_pairs.NUM_WORDS == len({pair.right for pair in pairs})
    vocabulary, wrong = grammar.vocabulary(), {pair.wrong for pair in pairs}
    assert {pair.right for pair in pairs} <= vocabulary and not wrong & vocabulary and len(wrong) == len(pairs)
    assert all(pair.wrong.isalpha() and abs(len(pair.wrong) - len(pair.right)) <= 1 for pair in pairs)


def test_sentences_are_new_and_wrong_ones_have_the_same_words_in_another_order():
    pairs = synthesise_pairs.sentence_pairs(0)
    assert len(pairs) == 2 * synthesise_pairs.NUM_SENTENCES == len({pair.right for pair in pairs})
    assert not {pair.right for pair in pairs} & {item.text for item in corpus_plan.plan(corpus_plan.PRESETS["full"], 0)}
    for pair in pairs:
        right, wrong = pair.right.split(), pair.wrong.split()
        assert right != wrong and sorted(right) == sorted(wrong)
        if pair.kind == "neighbours swapped":
            assert sum(one != other for one, other in zip(right, wrong)) == 2


def test_the_same_seed_gives_the_same_bytes_and_a_second_run_does_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesise_pairs, "NUM_WORDS", 2)
    monkeypatch.setattr(synthesise_pairs, "NUM_SENTENCES", 1)
    for name in ("one", "two"):
        assert synthesise_pairs.make_pairs(tmp_path / name, 0, 1)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 2 * 2 * 2 + 2 * 2 * 2 + 3
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    kinds = {"words": {("in vocabulary",)}, "sentences": {("words shuffled",), ("neighbours swapped",)}}
    for name, groups in kinds.items():
        pairs = read_pairs(tmp_path / "one" / name / "gold.csv")
        assert {pair.groups for pair in pairs} == groups and len(pairs) == 4
        assert all(path.is_file() for path in recordings(pairs))
    assert not synthesise_pairs.make_pairs(tmp_path / "one", 0, 1)
    assert synthesise_pairs.make_pairs(tmp_path / "one", 1, 1)


def test_what_lies_beside_the_pairs_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesise_pairs, "NUM_WORDS", 1)
    monkeypatch.setattr(synthesise_pairs, "NUM_SENTENCES", 1)
    (tmp_path / "words").mkdir()
    (tmp_path / "words/mine.wav").write_text("mine")
    assert synthesise_pairs.make_pairs(tmp_path, 0, 1) and synthesise_pairs.make_pairs(tmp_path, 1, 1)
    assert (tmp_path / "words/mine.wav").read_text() == "mine"
