"""ABX against a slow twin with loops, and against representations with known answers."""

import functools
import math

import numpy as np
import pytest

from soundstorm.scoring.abx import Representation, cut_frames, find_items, make_tasks, measure_abx
from soundstorm.scoring.abx_config import AbxConfig
from soundstorm.scoring.dtw import angular, dtw_distance, mismatch

RATE = 50.0
SETTINGS = {"context": "none", "min_cells": 1}


def make_corpus(seed, *, speakers=3, utterances=2, names=("a", "b", "c", "sil"), length=9):
    """Phone times of utterances of random phones, and who speaks."""
    rng = np.random.default_rng(seed)
    phones, voices = {}, {}
    for speaker in range(speakers):
        for number in range(utterances):
            utt, at = f"s{speaker}-u{number}", 0.0
            phones[utt], voices[utt] = [], f"s{speaker}"
            for _ in range(length):
                end = at + 0.02 * int(rng.integers(1, 5))
                phones[utt].append((round(at, 3), round(end, 3), names[rng.integers(len(names))]))
                at = end
    return phones, voices


def frames_of(phones, vector, width):
    """A representation whose frames are functions of the phone: (T, D) of each utterance."""
    rng = np.random.default_rng(1)
    made = {}
    for utt, spans in phones.items():
        frames = [
            vector(phone, rng) for start, end, phone in spans for _ in range(round((end - start) * RATE))
        ]
        made[utt] = np.array(frames).reshape(-1, width)
    return made


def slow_warp(distances):
    """Least (sum, steps) of all paths through one matrix, by recursion over its cells; their quotient."""
    best = {}
    for i in range(len(distances)):
        for j in range(len(distances[0])):
            before = [best[p] for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if p in best] or [(0.0, 0)]
            total, steps = min(before)
            best[i, j] = (total + distances[i][j], steps + 1)
    total, steps = best[len(distances) - 1, len(distances[0]) - 1]
    return total / steps


def slow_angle(u, v):
    cosine = sum(a * b for a, b in zip(u, v)) / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))
    return math.acos(max(-1.0, min(1.0, cosine))) / math.pi


def slow_mismatch(u, v):
    return sum(a != b for a, b in zip(u, v)) / len(u)


def slow_abx(frames, phones, voices, frame_distance, *, across, triphone):
    """The error in per cent from its definition, with nothing left out."""
    items = []
    for utt in phones:
        spans = phones[utt]
        for k, (start, end, phone) in enumerate(spans):
            if phone == "sil":
                continue
            context = None
            if triphone:
                if k in (0, len(spans) - 1) or "sil" in (spans[k - 1][2], spans[k + 1][2]):
                    continue
                context, start, end = (spans[k - 1][2], spans[k + 1][2]), spans[k - 1][0], spans[k + 1][1]
            piece = [f for t, f in enumerate(frames[utt]) if start <= (t + 0.5) / RATE < end]
            items.append((voices[utt], phone, context, piece))

    @functools.cache
    def distance(first, second):
        x, y = items[first], items[second]
        return slow_warp([[frame_distance(u, v) for v in y[3]] for u in x[3]])

    cells = {}
    for first, a in enumerate(items):
        for third, x in enumerate(items):
            if x is a or x[1:3] != a[1:3] or (x[0] == a[0]) == across:
                continue
            for second, b in enumerate(items):
                if b[0] == a[0] and b[2] == a[2] and b[1] != a[1]:
                    to_a, to_b = (distance(*sorted((third, other))) for other in (first, second))
                    error = 1.0 if to_a > to_b else 0.5 if to_a == to_b else 0.0
                    by_speaker = cells.setdefault((a[1], b[1]), {}).setdefault(a[0], {})
                    by_speaker.setdefault((a[2], x[0]), []).append(error)

    def mean(values):
        values = list(values)
        return sum(values) / len(values)

    return 100 * mean(
        mean(mean(mean(c) for c in cell.values()) for cell in s.values()) for s in cells.values()
    )


@pytest.mark.parametrize("triphone", [False, True])
@pytest.mark.parametrize("kind", ["vectors", "tokens"])
def test_errors_equal_the_slow_twin(kind, triphone):
    names, length = (("a", "b", "b", "sil"), 13) if triphone else (("a", "b", "c", "sil"), 9)
    phones, voices = make_corpus(3, names=names, length=length)
    rng = np.random.default_rng(5)
    if kind == "vectors":
        frames = frames_of(phones, lambda phone, _: rng.normal(size=4), 4)
        distance, slow = angular, slow_angle
    else:
        frames = frames_of(phones, lambda phone, _: rng.integers(3, size=2), 2)
        distance, slow = mismatch, slow_mismatch
    config = AbxConfig(context="triphone" if triphone else "none", max_items=1000, max_speakers=100)
    result = measure_abx(Representation(frames, RATE, distance, ""), make_tasks(phones, voices, config))
    for score, across in ((result.within, False), (result.across, True)):
        expected = slow_abx(frames, phones, voices, slow, across=across, triphone=triphone)
        assert score.error == pytest.approx(expected, abs=1e-6)
        assert 5 < score.error < 95  # of a random representation: the comparison is not trivial


@pytest.mark.parametrize("seed", range(3))
def test_warping_equals_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, size=(6, 2))
    # Few distinct values, so that there are ties between paths.
    padded = rng.integers(3, size=(6, 6, 6)).astype(float)
    found = dtw_distance(padded, sizes[:, 0], sizes[:, 1])
    for row, (first, second) in enumerate(sizes):
        assert found[row] == pytest.approx(slow_warp(padded[row, :first, :second].tolist()))
    np.testing.assert_allclose(dtw_distance(padded.transpose(0, 2, 1), sizes[:, 1], sizes[:, 0]), found)


def test_frames_that_are_the_phones_make_no_error_and_frames_that_say_nothing_half():
    phones, voices = make_corpus(0)
    tasks = make_tasks(phones, voices, AbxConfig(**SETTINGS))
    names = {name: row for name, row in zip(("a", "b", "c", "sil"), np.eye(4))}
    perfect = measure_abx(
        Representation(frames_of(phones, lambda p, _: names[p], 4), RATE, angular, ""), tasks
    )
    assert perfect.within.error == perfect.across.error == 0.0
    blind = measure_abx(Representation(frames_of(phones, lambda p, _: [7], 1), RATE, mismatch, ""), tasks)
    assert blind.within.error == blind.across.error == 50.0
    assert (perfect.within.num_phone_pairs, perfect.within.num_speakers) == (6, 3)


def test_frames_of_the_voice_are_told_apart_within_speakers_only():
    phones, voices = make_corpus(1, utterances=4)
    # A token for each phone of each speaker, the same token for another phone of another speaker.
    frames = {}
    for utt, spans in phones.items():
        shift = int(voices[utt][1:])
        frames[utt] = np.array(
            [
                ["abcsil".index(p) + shift]
                for start, end, p in spans
                for _ in range(round((end - start) * RATE))
            ]
        )
    result = measure_abx(
        Representation(frames, RATE, mismatch, ""), make_tasks(phones, voices, AbxConfig(**SETTINGS))
    )
    assert result.within.error == 0.0 and result.across.error >= 50.0


def test_an_item_has_the_frames_whose_middle_it_holds_and_at_least_one():
    frames = {"u": np.arange(10)[:, None]}
    representation = Representation(frames, RATE, mismatch, "")
    spans = {"u": [(0.0, 0.03, "a"), (0.03, 0.031, "b"), (0.05, 0.11, "c"), (0.5, 0.6, "d")]}
    items = find_items(spans, {"u": "s"}, triphone=False, silence=())
    assert [cut_frames(representation, item)[:, 0].tolist() for item in items] == [[0], [1], [2, 3, 4], [9]]


def test_a_triphone_has_no_silence_and_no_gap():
    spans = [(0.0, 0.1, "sil"), (0.1, 0.2, "a"), (0.2, 0.3, "b"), (0.3, 0.4, "a"), (0.4, 0.5, "b")]
    spans.append((0.6, 0.7, "a"))
    items = find_items({"u": spans}, {"u": "s"}, triphone=True, silence=("sil",))
    assert [item[2:] for item in items] == [("b", ("a", "a"), 0.1, 0.4), ("a", ("b", "b"), 0.2, 0.5)]


def test_a_corpus_with_too_few_triphones_is_compared_without_context_and_says_so(caplog):
    phones, voices = make_corpus(2)
    tasks = make_tasks(phones, voices, AbxConfig(min_cells=10**4))
    assert tasks.context == "none" and "whatever is beside them" in caplog.text
    assert make_tasks(phones, voices, AbxConfig(min_cells=1)).context == "triphone"


def test_what_is_drawn_is_bounded_and_the_same_each_time():
    phones, voices = make_corpus(4, speakers=4, utterances=6)
    config = AbxConfig(**SETTINGS, max_items=3, max_speakers=2, max_cells=10)
    tasks = make_tasks(phones, voices, config)
    assert len(tasks.within) == len(tasks.across) == 10
    assert max(len(group) for cell in tasks.within + tasks.across for group in cell[3:]) == 3
    assert make_tasks(dict(reversed(phones.items())), voices, config) == tasks
    assert make_tasks(phones, voices, AbxConfig(**SETTINGS, max_items=3, max_cells=10, seed=1)) != tasks


def test_one_speaker_has_no_comparison_across_speakers():
    phones, voices = make_corpus(0, speakers=1, utterances=4)
    tasks = make_tasks(phones, voices, AbxConfig(**SETTINGS))
    frames = frames_of(phones, lambda p, rng: rng.integers(3, size=1), 1)
    result = measure_abx(Representation(frames, RATE, mismatch, ""), tasks)
    assert result.across is None and result.within.num_cells == len(tasks.within)


def test_a_corpus_without_a_comparison_is_refused():
    with pytest.raises(ValueError, match="no two phones of 2 can be compared"):
        make_tasks({"u": [(0, 1, "a"), (1, 2, "b")]}, {"u": "s"}, AbxConfig(context="none"))


@pytest.mark.parametrize("settings", [{"context": "word"}, {"max_items": 1}, {"max_cells": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"abx.{next(iter(settings))} is"):
        AbxConfig(**settings)
