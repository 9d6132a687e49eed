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
