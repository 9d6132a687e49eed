import numpy as np
import pytest

from soundstorm.scoring.statistics import bootstrap, by_length, length_of, paired_difference


def test_the_value_is_the_ratio_of_sums_not_the_mean_of_ratios():
    assert bootstrap([1, 0], [1, 9]).value == pytest.approx(0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        sample = generator.normal(3.0, 1.0, size=60)
        estimate = bootstrap(sample, num_resamples=200, seed=trial)
        covered += estimate.low <= 3.0 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_bootstrap_equals_its_slow_twin():
    errors, words = [3, 0, 1, 2], [10, 12, 7, 9]
    generator = np.random.default_rng(5)
    draws = []
    for _ in range(50):
        top = bottom = 0
        for i in generator.integers(4, size=4):
            top += errors[i]
            bottom += words[i]
        draws.append(top / bottom)
    estimate = bootstrap(errors, words, num_resamples=50, seed=5)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))


def test_the_same_input_gives_the_same_interval():
    assert bootstrap([1.0, 2.0, 4.0]) == bootstrap([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([],), "at least one utterance"),
        (([float("nan")],), "metric gave NaN"),
        (([1.0], [0.0]), "positive weights"),
        (([1.0], [1.0, 2.0]), "one weight per value"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(*arguments)


@pytest.mark.parametrize(
    "duration, name",
    [
        (3.99, None),
        (4.0, "short"),
        (10.0, "mid"),
        (19.99, "mid"),
        (20.0, "long"),
        (30.0, "long"),
        (30.1, None),
    ],
)
def test_length_columns_have_the_edges_of_table_1(duration, name):
    assert length_of(duration) == name


def test_utterances_outside_4_to_30_seconds_count_only_in_all():
    estimates = by_length({"a": (1, 1), "b": (0, 1), "c": (0, 1)}, {"a": 3.0, "b": 5.0, "c": 12.0})
    assert {name: e.count for name, e in estimates.items()} == {"all": 3, "short": 1, "mid": 1}


def test_a_paired_difference_uses_the_shared_utterances():
    difference = paired_difference({"a": 0.9, "b": 0.5, "x": 9.0}, {"a": 0.7, "b": 0.3})
    assert (difference.value, difference.count) == (pytest.approx(0.2), 2)
    assert difference.low == pytest.approx(0.2)  # every pair differs by the same, so there is no spread


def test_a_difference_of_disjoint_systems_is_refused():
    with pytest.raises(ValueError, match="no utterance is in both"):
        paired_difference({"a": 1.0}, {"b": 1.0})


def test_the_bootstrap_by_speaker_equals_its_slow_twin():
    values, speakers = [3.0, 0.0, 1.0, 2.0, 9.0], list("babcb")
    groups = [[1], [0, 2, 4], [3]]  # of a, b and c
    generator = np.random.default_rng(5)
    draws = []
    for _ in range(50):
        drawn = []
        for speaker in generator.integers(3, size=3):
            group = groups[speaker]
            drawn += [values[group[int(generator.random() * len(group))]] for _ in group]
        draws.append(np.mean(drawn))
    estimate = bootstrap(values, speakers=speakers, num_resamples=50, seed=5)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])))
    assert (estimate.value, estimate.count) == (3.0, 5)


def test_by_speaker_the_interval_covers_the_truth_where_voices_differ():
    generator = np.random.default_rng(0)
    covered = {"speaker": 0, "utterance": 0}
    for trial in range(100):
        voices = np.repeat(generator.normal(3.0, 1.0, size=20), 10)
        sample, speakers = voices + generator.normal(0.0, 0.3, size=200), [str(n // 10) for n in range(200)]
        for name, drawn in (("speaker", speakers), ("utterance", None)):
            estimate = bootstrap(sample, speakers=drawn, num_resamples=200, seed=trial)
            covered[name] += estimate.low <= 3.0 <= estimate.high
    assert covered["speaker"] >= 86 and covered["utterance"] < 65


def test_one_speaker_or_unknown_ones_are_drawn_by_utterance():
    assert bootstrap([1.0, 2.0, 4.0], speakers=["a"] * 3) == bootstrap([1.0, 2.0, 4.0])
    assert bootstrap([1.0, 2.0, 4.0], speakers=["a", "b", None]) == bootstrap([1.0, 2.0, 4.0])  # not all are known
    estimates = by_length({"u": (1.0, 1.0), "v": (3.0, 1.0)}, {"u": 5.0, "v": 5.0}, {"u": "a", "v": "b"})
    assert estimates["all"] == bootstrap([1.0, 3.0], speakers=["a", "b"]) == estimates["short"]


def test_differences_are_drawn_by_speaker_too():
    first, second = {"u": 1.0, "v": 3.0, "w": 2.0}, {"u": 0.5, "v": 1.0}
    found = paired_difference(first, second, {"u": "a", "v": "b", "w": "b"})
    assert found == bootstrap([0.5, 2.0], speakers=["a", "b"])
