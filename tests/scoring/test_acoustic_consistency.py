import numpy as np
import pytest

from soundstorm.scoring.acoustic_consistency import DRIFT, AcousticConsistency, drift_curve
from soundstorm.scoring.measures import Pair
from soundstorm.scoring.statistics import bootstrap


def embed(wav):
    return np.array([1.0, wav.mean()])


def test_the_score_is_the_mean_over_whole_crops_after_the_prompt():
    wav = np.repeat([0.0, 1.0, 2.0, 9.0], [30, 20, 20, 5]).astype(np.float32)  # the last crop is not whole
    wav += np.resize([0.5, -0.5], len(wav))
    measured = AcousticConsistency(embed, prompt_seconds=3, crop_seconds=2)(Pair("u", wav, wav, 10))
    expected = [1 / np.sqrt(1 + level**2) for level in (1.0, 2.0)]
    assert [time for time, _ in measured.details[DRIFT]] == [3.0, 5.0]
    assert [similarity for _, similarity in measured.details[DRIFT]] == pytest.approx(expected)
    assert measured.values["acoustic_consistency"] == (pytest.approx(np.mean(expected)), 1.0)


def test_an_utterance_without_a_whole_crop_after_the_prompt_is_not_scored():
    wav = np.zeros(49, dtype=np.float32)
    assert AcousticConsistency(embed, prompt_seconds=3, crop_seconds=2)(Pair("u", wav, wav, 10)).values == {}


def test_lengths_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        AcousticConsistency(embed, prompt_seconds=3, crop_seconds=0)


def drifting(*drifts):
    return {f"u{number}": {DRIFT: drift} for number, drift in enumerate(drifts)}


def test_the_curve_joins_utterances_by_time():
    curve = drift_curve(drifting([[3.0, 0.9], [5.0, 0.8]], [[3.0, 0.7]], [[3.0, 0.8], [5.0, 0.4]]))
    assert [(point["seconds"], point["count"]) for point in curve] == [(3.0, 3), (5.0, 2)]
    assert [point["value"] for point in curve] == pytest.approx([0.8, 0.6])
    assert curve[0]["quartile_low"] == pytest.approx(0.75)


def test_times_that_one_utterance_reaches_are_left_out():
    curve = drift_curve(drifting([[3.0, 0.9], [5.0, 0.8]], [[3.0, 0.7]]) | {"without": {}})
    assert [point["seconds"] for point in curve] == [3.0]


def test_the_curve_is_drawn_by_speaker_where_all_are_known():
    utterances = drifting(*([[3.0, value]] for value in (0.9, 0.8, 0.2, 0.1)))
    for record, speaker in zip(utterances.values(), "sstt"):
        record["speaker"] = speaker
    (point,), expected = drift_curve(utterances), bootstrap([0.9, 0.8, 0.2, 0.1], speakers=list("sstt"))
    assert (point["low"], point["high"]) == (expected.low, expected.high)


@pytest.mark.parametrize(
    "decoded, why", [(np.zeros(80), "silent"), (np.resize([0.1, -0.1], 45), "no whole crop")]
)
def test_silence_is_not_consistent_with_silence(decoded, why):
    measured = AcousticConsistency(embed, prompt_seconds=3, crop_seconds=2)(Pair("u", decoded, decoded, 10))
    assert (measured.values, measured.details) == ({}, {}) and why in measured.undefined[
        "acoustic_consistency"
    ]
