"""Ratios to AudioLM: which rows are compared, and what of them."""

import pytest

from soundstorm.scoring.comparison import kinds_of, ratios_to_others
from soundstorm.scoring.report_content import build_report
from soundstorm.scoring.tables import render_markdown


def estimate(value):
    return {"value": value, "low": value, "high": value, "count": 4}


def row(system, *, kind="soundstorm", source="semantic", group="without prompt", wer=4.0, runtime=None):
    return {
        "system": system,
        "group": group,
        "data_dir": "data/test",
        "decode": {"from": source, "kind": kind if source in ("semantic", "text") else None},
        "num_utterances": 4,
        "metrics": {"wer": {"all": estimate(wer), "short": estimate(2 * wer)}, "cer": {"all": estimate(0.0)}},
        "drift": [],
        "runtime": {name: {"real_time_factor": value} for name, value in (runtime or {}).items()},
        "utterances": {},
    }


def rows():
    stages = {"audiolm_coarse": 3.0, "audiolm_fine": 1.0, "codec": 0.1, "total": 4.1}
    return [
        row("Original", source=None, group="reference"),
        row("Codec", source="codec", group="reference"),
        row("SoundStorm", wer=3.0, runtime={"soundstorm": 0.1, "codec": 0.1, "total": 0.2}),
        row("SoundStorm from text", source="text", wer=3.0),
        row("SoundStorm (3 s prompt)", group="with prompt", wer=5.0),
        row("AudioLM", kind="audiolm", wer=4.0, runtime=stages),
        row("AudioLM (3 s prompt)", kind="audiolm", group="with prompt", wer=2.0),
    ]


def test_systems_on_given_tokens_are_divided_by_the_other_model_with_as_much_of_a_prompt():
    plain, prompted = ratios_to_others(rows(), kinds_of(rows()))
    assert (plain["system"], plain["baseline"]) == ("SoundStorm", "AudioLM")
    assert plain["metrics"] == {"wer": {"all": 0.75, "short": 0.75}}  # a zero divides nothing
    assert plain["computing"] == pytest.approx(0.1 / 4)
    assert (prompted["system"], prompted["baseline"]) == ("SoundStorm (3 s prompt)", "AudioLM (3 s prompt)")
    assert prompted["metrics"]["wer"]["all"] == 2.5 and prompted["computing"] is None


def test_without_audiolm_there_is_nothing_to_compare():
    assert ratios_to_others(rows()[:5], kinds_of(rows()[:5])) == []


def test_the_report_has_them_in_its_json_and_in_its_markdown():
    report = build_report(rows(), title="Mini", targets=[], usage=[], seconds={}, facts={})
    assert len(report["sets"]["test"]["ratios"]) == 2
    markdown = render_markdown(report)
    assert "| Ratio (4-10 s / all) | WER % | Computing, all |" in markdown
    assert "| SoundStorm : AudioLM | 0.75 / 0.75 | 0.0250 (1 : 40) |" in markdown
    assert "| SoundStorm (3 s prompt) : AudioLM (3 s prompt) | 2.50 / 2.50 | - |" in markdown


def test_the_first_model_mentioned_is_compared_also_where_another_one_s_rows_come_first_by_group():
    scores = [rows()[4], rows()[5], rows()[6]]
    report = build_report(scores, title="Mini", targets=[], usage=[], seconds={}, facts={})
    (ratio,) = report["sets"]["test"]["ratios"]
    assert (ratio["system"], ratio["baseline"]) == ("SoundStorm (3 s prompt)", "AudioLM (3 s prompt)")
