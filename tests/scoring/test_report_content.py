from dataclasses import asdict

import pytest

from soundstorm.scoring.report_content import (
    build_report,
    describe_hardware,
    lengths_present,
    order_scores,
    parse_running,
    read_timing_table,
    voice_gains,
)
from soundstorm.scoring.statistics import paired_difference
from soundstorm.scoring.tables import heading_of, render_markdown, table, targets_table
from soundstorm.scoring.targets import check_targets


def estimate(value, half=0.1, count=4):
    return {"value": value, "low": value - half, "high": value + half, "count": count}


def score(system, group="reference", source=None, metrics=None, voices=None, data_dir="data/test"):
    metrics = metrics or {"wer": {"all": estimate(2.0), "short": estimate(1.0)}}
    voices = voices or {}
    if voices:
        mean = sum(voices.values()) / len(voices)
        metrics = {**metrics, "voice_to_original": {"all": estimate(mean, 0.02)}}
    return {
        "system": system,
        "group": group,
        "data_dir": data_dir,
        "decode": {"from": source, "sampling": {"iterations": [16, 1]}} if source else {},
        "num_utterances": 4,
        "num_missing": 0,
        "metrics": metrics,
        "drift": [],
        "runtime": {},
        "utterances": {utt_id: {"voice_to_original": voice} for utt_id, voice in voices.items()},
    }


def example_scores():
    prompted = score("From text, prompted", "with prompt", "text", voices={"a": 0.8, "b": 0.9})
    return [
        prompted,
        score("Original"),
        score("From text", "without prompt", "text", voices={"a": 0.5, "b": 0.5}),
        score("From semantic", "without prompt", "semantic", voices={"a": 0.2, "b": 0.2}),
    ]


def example_report(**changes):
    arguments = dict(title="Mini", targets=[], usage=[], seconds={}, facts={"commit": "abc"})
    return build_report(example_scores(), **{**arguments, **changes})


def test_rows_come_in_the_paper_s_order_of_groups():
    rows = order_scores(example_scores())["test"]
    assert [row["system"] for row in rows] == [
        "Original",
        "From text",
        "From semantic",
        "From text, prompted",
    ]


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two score files are called 'Original'"):
        order_scores([score("Original"), score("Original")])


def test_each_test_set_has_its_own_table():
    scores = [score("Original"), score("Original", data_dir="data/test_unseen")]
    assert list(order_scores(scores)) == ["test", "test_unseen"]


def test_only_lengths_that_occur_become_columns():
    assert lengths_present(example_scores()) == ["short", "all"]


def test_a_prompted_system_is_compared_with_its_own_unprompted_twin():
    (gain,) = voice_gains(example_scores())
    assert (gain.prompted, gain.unprompted, gain.apart) == ("From text, prompted", "From text", True)
    assert gain.difference.value == pytest.approx(0.35)


def test_a_prompted_system_s_twin_has_its_models():
    scores = example_scores()
    other = score("Other front", "without prompt", "text", voices={"a": 0.1, "b": 0.1})
    other["decode"]["text_to_semantic"] = "exp/masked"
    assert [gain.unprompted for gain in voice_gains([other, *scores])] == ["From text"]


def test_intervals_that_touch_are_not_apart():
    scores = [
        score("p", "with prompt", "text", voices={"a": 0.52, "b": 0.54}),
        score("u", "without prompt", "text", voices={"a": 0.5, "b": 0.51}),
    ]
    assert not voice_gains(scores)[0].apart


def test_a_clear_gain_counts_for_the_target_by_its_lower_end():
    report = example_report(targets=["voice gain of From text, prompted > 0", "wer of original <= 1.5"])
    gain, wer = report["targets"]
    assert gain["met"] and 0.29 < gain["value"] <= 0.35
    assert not wer["met"] and wer["value"] == 2.0


def test_usage_and_time_can_be_targets():
    report = example_report(
        targets=["usage of every codebook >= 80", "seconds of all stages <= 900"],
        usage=[
            {"level": 0, "usage": 99.0, "perplexity": 9.0},
            {"level": 1, "usage": 79.0, "perplexity": 9.0},
        ],
        seconds={"0": 100.0, "7": 200.0},
    )
    assert [(target["value"], target["met"]) for target in report["targets"]] == [
        (79.0, False),
        (300.0, True),
    ]


def test_a_target_without_a_figure_is_not_met():
    (result,) = check_targets(["stoi of codec >= 0.9"], {})
    assert result.value is None and not result.met


FIGURES = {("wer", "soundstorm"): 30.0, ("wer", "codec"): 20.0, ("stoi", "codec"): 0.8, ("stoi", "original"): 0.9}


@pytest.mark.parametrize(
    "target, limit, met",
    [
        ("wer of SoundStorm <= 1.6 * wer of codec", 32.0, True),
        ("wer of SoundStorm <= 1.35 * wer of codec", 27.0, False),
        ("stoi of codec >= -0.125 + stoi of original", 0.775, True),
        ("stoi of codec >= -0.05 + stoi of original", 0.85, False),
        ("wer of SoundStorm <= 2 * wer of AudioLM", None, False),
    ],
)
def test_a_target_may_depend_on_another_figure(target, limit, met):
    (result,) = check_targets([target], FIGURES)
    assert result.limit == (None if limit is None else pytest.approx(limit)) and result.met is met
    assert f"{target.split('= ')[1]}" == result.relative


def test_the_table_of_targets_says_where_a_limit_comes_from():
    targets = ["wer of SoundStorm <= 1.35 * wer of codec", "wer of codec <= 25", "stoi of codec > 1 * stoi of nobody"]
    markdown = targets_table([asdict(result) for result in check_targets(targets, FIGURES)])
    assert "| wer of SoundStorm | <= 27 (1.35 * wer of codec) | 30 | **no** |" in markdown
    assert "| wer of codec | <= 25 | 20 | yes |" in markdown
    assert "| stoi of codec | not measured (1 * stoi of nobody) | 0.8 | **no** |" in markdown


def test_a_target_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="report.targets has 'wer low'"):
        check_targets(["wer low"], {})


def test_the_table_has_the_paper_s_groups_and_a_dash_where_nothing_was_measured():
    markdown = render_markdown(example_report())
    lines = markdown.splitlines()
    groups = [line.split("|")[1].strip() for line in lines if line.startswith("| *")]
    assert groups == ["*reference*", "*without speaker prompt*", "*with speaker prompt*"]
    assert "| Original | 4 | 1.00 / 2.00 |" in markdown
    assert "System (4-10 s / all)" in markdown
    assert "| From text | - | 0.500 [0.480, 0.520] (4) |" in markdown
    assert "intervals are apart" in markdown and "- commit: abc" in markdown


def test_markdown_tables_are_rectangular():
    block = []
    for line in [*render_markdown(example_report(seconds={"0": 3.0})).splitlines(), ""]:
        if line.startswith("|"):
            block.append(line.count("|"))
        elif block:
            assert len(set(block)) == 1
            block = []


def test_a_bar_in_a_name_does_not_break_the_table():
    assert "a \\| b" in table(["x"], [["a | b"]])


def test_a_further_recogniser_is_named_in_the_heading():
    assert heading_of("wer_whisper") == ("WER %, second opinion (whisper)", 2)
    assert heading_of("cer_exp_recognizer") == ("CER %, second opinion (recognizer)", 2)
    closed = "CER %, second opinion (closed vocabulary, recognizer)"
    assert heading_of("cer_closed_exp_recognizer") == (closed, 2)


def test_stage_times_of_several_runs_add_up(tmp_path):
    path = tmp_path / "timing.tsv"
    path.write_text("0\t40\n1\t100\n1\t20\n")
    assert read_timing_table(path) == {"0": 40.0, "1": 120.0}
    assert read_timing_table(tmp_path / "none.tsv") == {}


def test_a_time_that_is_no_number_is_located(tmp_path):
    path = tmp_path / "timing.tsv"
    path.write_text("0\t40\n1 100\n")
    with pytest.raises(ValueError, match=r"timing\.tsv:2: expected"):
        read_timing_table(path)


def test_the_running_stage_is_read():
    assert parse_running("7=93") == ("7", 93.0) and parse_running(None) is None
    with pytest.raises(ValueError, match="--running is 'x'"):
        parse_running("x")


def test_the_hardware_is_described():
    assert "cores of" in describe_hardware()


def test_a_closed_vocabulary_is_plainly_declared():
    scores = example_scores()
    settings = {"recognizers": ["exp/r"], "speaker": "s", "crop_seconds": 1.5, "prompt_seconds": 3.0}
    settings["vocabulary_text"] = "data/x/text"
    for name, declared in (("exp/r", False), ("closed:exp/r", True)):
        scores[1]["settings"] = {**settings, "recognizers": [name]}
        report = build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={})
        assert (
            "closed vocabulary**: any sequence of words of `data/x/text`" in render_markdown(report)
        ) == declared


def test_a_metric_of_fewer_utterances_than_the_row_says_of_how_many():
    scores = example_scores()
    scores[1]["metrics"] = {"wer": {"all": estimate(2.0, count=3), "short": estimate(1.0, count=2)}}
    scores[1]["left_out"] = {"wer": {"a": "no word"}, "acoustic_consistency": dict.fromkeys("abcd", "silent")}
    scores[0]["metrics"]["acoustic_consistency"] = {"all": estimate(0.9)}
    markdown = render_markdown(build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={}))
    assert "| Original | 4 | 1.00 / 2.00 (3 of 4) | - (0 of 4) |" in markdown
    assert "wer of Original (1 of 4), acoustic_consistency of Original (4 of 4)" in markdown


def test_the_normaliser_of_texts_is_named():
    scores = example_scores()
    settings = {"recognizers": ["exp/r"], "speaker": "s", "crop_seconds": 1.5, "prompt_seconds": 3.0}
    for more, named in (
        ({}, False),
        ({"text_normalizer": None}, False),
        ({"text_normalizer": "english"}, True),
    ):
        scores[1]["settings"] = settings | more
        report = build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={})
        assert ("Whisper's English normaliser" in render_markdown(report)) == named


def test_rows_that_were_scored_by_other_settings_are_named():
    scores = example_scores()
    settings = {"recognizers": ["r", "s"], "speaker": "s", "crop_seconds": 1.5, "prompt_seconds": 3.0}
    for row, more in zip(scores, (
        {}, {"language": None, "vocabulary_text": "data/x/text"}, {"recognizers": ["closed:r"], "vocabulary_text": "t"},
        {"recognizers": ["r", "s"], "language": "en", "crop_seconds": 1},
    )):  # fmt: skip
        row["settings"] = settings | more
    markdown = render_markdown(build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={}))
    others = "From text (recognizers `closed:r`, vocabulary_text `t`), From semantic (language `en`, crop_seconds `1`)."
    assert f"**Scored otherwise, and not comparable in what depends on it**: {others}" in markdown
    for row in scores:
        row["settings"] = settings
    markdown = render_markdown(build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={}))
    assert "Scored otherwise" not in markdown


def test_a_gain_of_voices_is_drawn_by_speaker_where_the_scores_are_and_the_table_says_so():
    scores = example_scores()
    report = build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={})
    assert "bootstrap over utterances, 95 %" in render_markdown(report)
    (gain,) = voice_gains(scores)
    for utt, speaker in (("a", "s1"), ("b", "s1")):
        scores[0]["utterances"][utt]["speaker"] = speaker
    assert voice_gains(scores)[0].difference == gain.difference  # of one speaker
    scores[0]["utterances"]["b"]["speaker"], scores[0]["num_speakers"] = "s2", 2
    assert voice_gains(scores)[0].difference == paired_difference(
        {"a": 0.8, "b": 0.9}, {"a": 0.5, "b": 0.5}, {"a": "s1", "b": "s2"}
    )
    report = build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={})
    text = render_markdown(report)
    assert "bootstrap over speakers and the utterances of each, 95 %" in text
    assert "With 2 speakers only, intervals tend to be too narrow." in text
    assert "Intervals over utterances, not speakers: Original, From text, From semantic." in text
