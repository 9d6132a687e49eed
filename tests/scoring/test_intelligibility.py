import numpy as np
import pytest

from soundstorm.scoring.intelligibility import (
    character_errors,
    read_references,
    scored_text,
    word_errors,
    word_errors_after,
)


def edit_distance(a, b):
    """The slow twin: the textbook table."""
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    table[:, 0] = range(len(a) + 1)
    table[0, :] = range(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i, j] = min(
                table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            )
    return table[-1, -1]


def random_words(generator, minimum):
    return [str(w) for w in generator.choice(["a", "b", "c", "dd"], size=generator.integers(minimum, 12))]


def test_the_turn_marker_is_not_a_word():
    assert scored_text("hello there | general  kenobi|you") == "hello there general kenobi you"


def test_another_turn_marker_can_be_named():
    assert scored_text("yes <turn> no", turn_marker="<turn>") == "yes no"


def test_punctuation_and_case_are_not_scored():
    text = "\u201cDon\u2019t!\u201d he said; well-known, 'quoted' 42."
    assert scored_text(text) == "don't he said well known quoted 42"


def test_letters_of_every_script_are_kept():
    assert scored_text("Grüße, नमस्ते 你好。") == "grüße नमस्ते 你好"


def test_word_errors_equal_the_textbook_edit_distance():
    generator = np.random.default_rng(1)
    for _ in range(30):
        reference, hypothesis = random_words(generator, 1), random_words(generator, 0)
        count = word_errors(" ".join(reference), " ".join(hypothesis))
        assert (count.errors, count.length) == (edit_distance(reference, hypothesis), len(reference))


def test_character_errors_count_the_space_between_words():
    assert (character_errors("ab cd", "abcd").errors, character_errors("ab cd", "abcd").length) == (1, 5)


def test_insertions_can_take_the_rate_over_100_per_cent():
    assert word_errors("one", "one two three").rate == 200.0


def test_an_empty_reference_is_refused():
    with pytest.raises(ValueError, match="reference with words"):
        word_errors("", "something")


def test_errors_inside_the_prompt_are_not_counted_after_it():
    count = word_errors_after("a b c d e", "a x c d y", [0.0, 1.0, 2.0, 3.1, 4.0], prompt_seconds=3.0)
    assert (count.errors, count.length) == (1, 2)


def test_a_word_deleted_at_the_cut_counts_once():
    whole = word_errors("a b c d", "a b d")
    after = word_errors_after("a b c d", "a b d", [0.0, 1.0, 3.5], prompt_seconds=3.0)
    assert whole.errors == 1 and after.errors <= 1 and after.length in (1, 2)


def test_a_prompt_that_swallows_everything_leaves_nothing_to_count():
    assert word_errors_after("a b", "a b", [0.0, 1.0], prompt_seconds=3.0) is None


def test_word_starts_must_match_the_words():
    with pytest.raises(ValueError, match="1 start times for 2 words"):
        word_errors_after("a b", "a b", [0.0], prompt_seconds=1.0)


def test_utterances_without_words_have_no_reference():
    assert read_references({"a": "Hello | you", "b": " | ", "c": ""}) == {"a": "hello you"}
