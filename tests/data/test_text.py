"""Text to ids: ByT5's bytes, SentencePiece, normalisation, what cannot be spoken."""

import numpy as np
import pytest

from soundstorm.data.text import (
    EOS_ID,
    TURN_MARKER,
    ByteTokenizer,
    SentencePieceTokenizer,
    normalize_text,
    train_sentencepiece,
)

WORDS = "the cat sat on a red mat while nine dogs ran over hills and far away".split()


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 6)) + " | yes" for _ in range(200)]
    return train_sentencepiece(texts, tmp_path_factory.mktemp("pieces") / "text.model", vocab_size=26)


def test_bytes_have_the_ids_of_byt5():
    from transformers import ByT5Tokenizer

    theirs, ours = ByT5Tokenizer(), ByteTokenizer(lowercase=False)
    for text in ("Hello, world!", "naïve café", "one | two", "日本"):
        assert ours.encode(text).tolist() == theirs(text).input_ids
    assert ours.vocab_size == len(theirs)


def test_bytes_come_back_as_text():
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode("Grüße | an alle")) == "grüße | an alle"


def test_normalising_makes_alike_what_sounds_alike():
    assert normalize_text("  It’s\tGOOD|no\n ") == "it's good | no"
    assert normalize_text("ﬁne", lowercase=False) == "fine"
    assert normalize_text("A B", lowercase=False) == "A B"


def test_normalising_twice_changes_nothing():
    once = normalize_text("A “quoted” — text|and | more…")
    assert normalize_text(once) == once


@pytest.mark.parametrize("text", ["", "   ", " | ", "...", "?!"])
def test_text_without_anything_to_pronounce_is_refused(text):
    with pytest.raises(ValueError, match="utt-7: nothing to pronounce"):
        ByteTokenizer().encode(text, where="utt-7")


def test_pieces_come_back_as_text(pieces):
    text = "the cat ran | nine hills"
    assert pieces.decode(pieces.encode(text)) == text
    assert pieces.encode(text)[-1] == EOS_ID


def test_the_turn_marker_is_a_piece_of_its_own(pieces):
    alone = set(pieces.encode("cat | cat").tolist()) - set(pieces.encode("cat cat").tolist())
    assert len(alone) == 1 and pieces.decode(alone) == TURN_MARKER


def test_the_same_text_teaches_the_same_pieces(tmp_path):
    files = [tmp_path / "one.model", tmp_path / "two.model"]
    for file in files:
        train_sentencepiece([" ".join(WORDS)] * 3, file, vocab_size=25)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_a_vocabulary_too_large_for_the_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot learn 5000 SentencePiece units from 2 lines.*too high"):
        train_sentencepiece([" ".join(WORDS)] * 2, tmp_path / "text.model", vocab_size=5000)
    assert not list(tmp_path.iterdir())


def test_learning_pieces_from_no_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="every transcript is empty"):
        train_sentencepiece([" ", ""], tmp_path / "text.model", vocab_size=10)


def test_a_missing_sentencepiece_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.model: no such SentencePiece model"):
        SentencePieceTokenizer(tmp_path / "gone.model")


def test_another_file_is_no_sentencepiece_model(tmp_path):
    (tmp_path / "x.model").write_text("not a model")
    with pytest.raises(ValueError, match="x.model: not a SentencePiece model"):
        SentencePieceTokenizer(tmp_path / "x.model")


def test_a_model_with_other_special_ids_is_refused(tmp_path):
    import sentencepiece

    with open(tmp_path / "other.model", "wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([" ".join(WORDS)] * 5), model_writer=stream, vocab_size=25, minloglevel=2
        )
    with pytest.raises(ValueError, match=r"pad, end and unknown have the ids .* expected \(0, 1, 2\) as in T5"):
        SentencePieceTokenizer(tmp_path / "other.model")
