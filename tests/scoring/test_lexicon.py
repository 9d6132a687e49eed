"""Decoding with a closed vocabulary against a search through all sequences."""

import itertools

import numpy as np
import pytest

from soundstorm.scoring.lexicon import Lexicon

LETTERS = {"a": 2, "b": 3, "c": 4}
BLANK, BOUNDARY = 0, 1


def ctc_score(log_probabilities: np.ndarray, marks: list[int]) -> float:
    """Best path of one sequence of marks: the definition, state by state."""
    states = [BLANK] + [state for mark in marks for state in (mark, BLANK)]
    score = np.full(len(states), -np.inf)
    score[0] = log_probabilities[0, BLANK]
    if len(states) > 1:
        score[1] = log_probabilities[0, states[1]]
    for frame in log_probabilities[1:]:
        new = np.full(len(states), -np.inf)
        for s, state in enumerate(states):
            ways = [score[s]] + ([score[s - 1]] if s else [])
            if s >= 2 and state != BLANK and state != states[s - 2]:
                ways.append(score[s - 2])
            new[s] = max(ways) + frame[state]
        score = new
    return max(score[-2:])


def slow_reading(log_probabilities, words, longest):
    best = (ctc_score(log_probabilities, []), ())
    for count in range(1, longest + 1):
        for sequence in itertools.product(words, repeat=count):
            marks = [
                m for i, w in enumerate(sequence) for m in ([BOUNDARY] if i else []) + [LETTERS[c] for c in w]
            ]
            best = max(best, (ctc_score(log_probabilities, marks), sequence))
            best = max(best, (ctc_score(log_probabilities, [*marks, BOUNDARY]), sequence))
    return best[1]


@pytest.mark.parametrize("seed", range(40))
def test_the_best_words_are_those_of_a_search_through_all_sequences(seed):
    rng = np.random.default_rng(seed)
    words = ["ab", "aab", "c", "ba"]
    logits = rng.normal(size=(9, 5)) * 3
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    lexicon = Lexicon(words, LETTERS, blank=BLANK, boundary=BOUNDARY)
    found = tuple(word for word, _ in lexicon.decode(log_probabilities))
    # leading blanks belong to no word; a first frame of blank is reached through silence
    assert found == slow_reading(log_probabilities, words, 4)


def test_a_clear_utterance_is_read_with_its_times():
    spelled = [BLANK, 2, 3, 3, BOUNDARY, BLANK, 4, BLANK]
    log_probabilities = np.log(np.full((8, 5), 0.02))
    log_probabilities[np.arange(8), spelled] = np.log(0.92)
    lexicon = Lexicon(["ab", "c", "zzz"], LETTERS, blank=BLANK, boundary=BOUNDARY)
    assert lexicon.words == ["ab", "c"]
    assert [word for word, _ in lexicon.decode(log_probabilities)] == ["ab", "c"]


def test_silence_is_read_as_no_words():
    log_probabilities = np.log(np.full((6, 5), 0.01))
    log_probabilities[:, BLANK] = np.log(0.96)
    assert Lexicon(["ab"], LETTERS, blank=BLANK, boundary=BOUNDARY).decode(log_probabilities) == []


def test_words_that_cannot_be_spelled_are_refused():
    with pytest.raises(ValueError, match="no word can be spelled with the letters 'abc'"):
        Lexicon(["xyz"], LETTERS, blank=BLANK, boundary=BOUNDARY)
