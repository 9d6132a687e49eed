"""CTC decoding with a closed vocabulary: any sequence of its words, all equally likely.

A small recogniser that tells letters apart well still spells badly. Where the words of a corpus are few and
known, as in ``egs/mini``, the best sequence of those words is the transcript. There is no language model.
"""

from collections.abc import Iterable

import numpy as np

from soundstorm.data.errors import InputError


class Lexicon:
    """Words as chains of CTC states, all of them in one array.

    A word of n letters is letter, blank, letter, ..., letter, blank, boundary, blank: 2n + 2 states, of which
    the first is entered when a word ends, and a blank may be skipped unless it parts two equal letters.
    """

    def __init__(self, words: Iterable[str], vocabulary: dict[str, int], *, blank: int, boundary: int):
        """
        Args:
            words: the vocabulary; words with letters that the recogniser lacks are left out.
            vocabulary: letter -> column of the recogniser's output.
            blank: column of the CTC blank.
            boundary: column of the mark between words.

        Raises:
            ValueError: no word can be spelled.
        """
        known = sorted({word for word in words if word and all(letter in vocabulary for letter in word)})
        if not known:
            raise InputError(f"no word can be spelled with the letters {''.join(sorted(vocabulary))!r}")
        self.words = known
        labels, may_skip, first, last, word_of = [], [], [], [], []
        for number, word in enumerate(known):
            chain = [column for letter in word for column in (vocabulary[letter], blank)] + [boundary, blank]
            first.append(len(labels))
            for i, column in enumerate(chain):
                # From two states before: over a blank between different marks.
                may_skip.append(i >= 2 and column != blank and column != chain[i - 2])
            labels += chain
            word_of += [number] * len(chain)
            last.append(len(labels) - 1)
        self._labels = np.array(labels)
        self._may_skip = np.array(may_skip)
        self._word_of = np.array(word_of)
        self._last = np.array(last)
        self._starts = np.zeros(len(labels), dtype=bool)
        self._starts[first] = True
        self._blank = blank

    def decode(self, log_probabilities: np.ndarray) -> list[tuple[str, int]]:
        """The best sequence of words, each with the frame at which it begins.

        Args:
            log_probabilities: ``(T, V)``.

        Returns:
            Words in order; empty when silence is likelier than any word.
        """
        frames = len(log_probabilities)
        count = len(self._labels)
        impossible = -np.inf
        score = np.full(count, impossible)
        entered = np.zeros(count, dtype=np.int64)  # frame at which the word of a state began
        # ending[t]: best score of a finished word, or of silence so far, before frame t; back[t] is that word
        ending = np.full(frames + 1, impossible)
        ending[0] = 0.0
        back: list[tuple[int, int] | None] = [None] * (frames + 1)  # (word, frame at which it began)
        silence = 0.0
        one_before, two_before = np.full(count, impossible), np.full(count, impossible)
        entered_one, entered_two = entered.copy(), entered.copy()
        emitted = log_probabilities[:, self._labels]
        finals = np.concatenate([self._last - 1, self._last])  # a word ends at its boundary, or at the blanks after it
        for t in range(frames):
            one_before[1:], entered_one[1:] = score[:-1], entered[:-1]
            two_before[2:], entered_two[2:] = score[:-2], entered[:-2]
            one_before[self._starts] = ending[t]
            entered_one[self._starts] = t
            two_before[~self._may_skip] = impossible
            for before, entered_before in ((one_before, entered_one), (two_before, entered_two)):
                better = before > score
                score = np.where(better, before, score)
                entered = np.where(better, entered_before, entered)
            score = score + emitted[t]
            silence += log_probabilities[t, self._blank]
            best = finals[score[finals].argmax()]
            if silence >= score[best]:
                ending[t + 1], back[t + 1] = silence, None
            else:
                ending[t + 1], back[t + 1] = score[best], (int(self._word_of[best]), int(entered[best]))
        # The last word of an utterance need not be followed by a boundary.
        ends = np.concatenate([self._last - 3, self._last - 2, self._last - 1, self._last])
        best = ends[score[ends].argmax()]
        words: list[tuple[str, int]] = []
        if score[best] > silence:
            step: tuple[int, int] | None = (int(self._word_of[best]), int(entered[best]))
            while step is not None:
                words.append((self.words[step[0]], step[1]))
                step = back[step[1]]
        return words[::-1]
