import numpy as np
import pytest

from soundstorm.scoring.intelligibility import (
    Intelligibility,
    Transcript,
    character_errors,
    normalized,
    word_errors,
    word_errors_after,
)
from soundstorm.scoring.measures import Pair


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


@pytest.mark.parametrize(
    "hypothesis, starts, errors, length",
    [
        ("a b c d", [0.0, 1.0, 3.2, 3.5], 0, 2),
        ("a b d", [0.0, 1.0, 3.5], 1, 2),  # c is lost between
        ("a b", [0.0, 1.0], 2, 2),  # nothing is heard after the prompt
        ("a", [0.0], 3, 3),
        ("", [], 4, 4),  # nor within
        ("c d", [3.2, 3.5], 0, 2),  # the prompt's words were not heard
        ("a b x c d", [0.0, 1.0, 3.1, 3.2, 3.5], 1, 2),
    ],
)
def test_words_that_are_lost_after_the_prompt_count(hypothesis, starts, errors, length):
    after = word_errors_after("a b c d", hypothesis, starts, prompt_seconds=3.0)
    assert (after.errors, after.length) == (errors, length)


def test_a_prompt_that_swallows_everything_leaves_nothing_to_count():
    assert word_errors_after("a b", "a b", [0.0, 1.0], prompt_seconds=3.0) is None


def test_word_starts_must_match_the_words():
    with pytest.raises(ValueError, match="1 start times for 2 words"):
        word_errors_after("a b", "a b", [0.0], prompt_seconds=1.0)


class Reader:
    """A recogniser that hears the same whatever is played."""

    name, sample_rate = "reader", 16000

    def __init__(self, *heard, **more):
        self.transcript = Transcript(*heard, **more)

    def __call__(self, wavs):
        return [self.transcript] * len(wavs)


def pair(text):
    return Pair("u", np.ones(4, np.float32), np.ones(4, np.float32), 16000, text)


def test_without_a_word_in_the_reference_no_rate_is_defined():
    measured = Intelligibility(Reader("a"), suffix="_2", prompt_seconds=1)(pair(None))
    assert measured.values == {} and set(measured.undefined) == {"wer_2", "cer_2"}


def test_with_no_word_after_the_prompt_only_that_rate_is_undefined():
    measured = Intelligibility(Reader("a b", (0.0, 0.5)), prompt_seconds=1)(pair("a b"))
    assert measured.values == {"wer": (0.0, 2.0), "cer": (0.0, 3.0)}
    assert set(measured.undefined) == {"wer_after_prompt"}


def test_a_published_normaliser_sees_what_the_recogniser_wrote():
    def normalize(text):
        return text.replace("$5", "five dollars")

    reader = Reader("for 5", written="for $5")
    assert Intelligibility(reader, normalize=normalize)(pair("for five dollars")).values["wer"] == (0.0, 3.0)


def test_words_that_a_normaliser_joins_or_parts_stay_on_their_side_of_the_prompt():
    def normalize(text):
        return text.replace("isn't", "is not").replace("twenty one", "21")

    found = normalized(Transcript("it isn't twenty one", (0.0, 0.5, 2.0, 2.5)), normalize, 1.0)
    assert found == Transcript("it is not 21", (0.0, 0.0, 0.0, 1.0))
    measure = Intelligibility(
        Reader("it isn't twenty one", (0.0, 0.5, 2.0, 2.5)), prompt_seconds=1, normalize=normalize
    )
    assert measure(pair("it is not 20")).values["wer_after_prompt"] == (100.0, 1.0)
