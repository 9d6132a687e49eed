import math

import numpy as np
import pytest

from soundstorm.scoring.pocketsphinx_recognizer import PocketsphinxRecognizer, bigram_arpa
from soundstorm.scoring.recognizers import load_recognizer


def read_arpa(text):
    unigrams, bigrams, order = {}, {}, 0
    for line in text.splitlines():
        if line.endswith("-grams:"):
            order = int(line[1])
        elif line and not line.startswith(("\\", "ngram")):
            fields = line.split()
            if order == 1:
                unigrams[fields[1]] = (float(fields[0]), float(fields[2]))
            else:
                bigrams[fields[1], fields[2]] = float(fields[0])
    return unigrams, bigrams


def test_bigram_probabilities_sum_to_one_after_every_word():
    unigrams, bigrams = read_arpa(bigram_arpa([["a", "b", "a"], ["b", "c"], ["a"]]))
    words = [word for word in unigrams if word != "<s>"]
    for first in ("<s>", "a", "b", "c"):
        total = sum(
            10 ** bigrams[first, second]
            if (first, second) in bigrams
            else 10 ** (unigrams[first][1] + unigrams[second][0])
            for second in words
        )
        assert math.isclose(total, 1.0, abs_tol=1e-3), first


def test_a_language_model_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one sentence"):
        bigram_arpa([[]])


@pytest.mark.integration
def test_pocketsphinx_reads_with_bigrams_and_hears_nothing_in_silence(tmp_path):
    pytest.importorskip("pocketsphinx")
    text = tmp_path / "text"
    text.write_text("a-1 go forward ten meters\na-2 Go back | ten xyzzyqk meters\n")
    recognizer = load_recognizer("pocketsphinx", bigram_text=str(text))
    (transcript,) = recognizer([np.zeros(16000, dtype=np.float32)])
    assert len(transcript.word_starts) == len(transcript.text.split()) <= 2
    assert "bigrams" in recognizer.name


def test_bigrams_are_of_a_table_that_is_read_as_every_other(tmp_path):
    pytest.importorskip("pocketsphinx")
    (tmp_path / "text").write_text("utt-1\tone two\nutt-1\tthree\n")
    with pytest.raises(ValueError, match="text, line 2: key 'utt-1' is there a second time"):
        PocketsphinxRecognizer(str(tmp_path / "text"))
