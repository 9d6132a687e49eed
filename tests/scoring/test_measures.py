import numpy as np
import pytest

from soundstorm.scoring.measures import Measured, Pair, SubsetMeasure, evenly_spaced, is_silent


@pytest.mark.parametrize(
    "number, expected", [(None, list("abcde")), (9, list("abcde")), (3, ["a", "c", "e"]), (0, [])]
)
def test_a_subset_of_utterances_is_spaced_evenly_over_the_ids(number, expected):
    assert evenly_spaced({"c", "a", "b", "e", "d"}, number) == expected


def test_a_subset_measure_gives_nothing_for_the_other_utterances():
    wav = np.zeros(1, dtype=np.float32)
    measure = SubsetMeasure(lambda pair: Measured({"x": (1.0, 1.0)}), ["a"])
    assert [measure(Pair(utt, wav, wav, 16000)).values for utt in "ab"] == [{"x": (1.0, 1.0)}, {}]


def test_silence_is_what_has_no_sound_whatever_its_offset():
    speech = np.sin(np.arange(1000, dtype=np.float32))
    dither = np.random.default_rng(0).choice([0, 2**-15], 1000)
    assert all(map(is_silent, (np.zeros(1000), np.full(1000, 0.2, np.float32), dither)))
    assert not is_silent(0.001 * speech)
