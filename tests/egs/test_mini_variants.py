"""The table of egs/mini/run_options.sh: variants against the first, utterance by utterance."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parent.parent.parent / "egs/mini/local"


@pytest.fixture(scope="module")
def variants_table():
    sys.path.insert(0, str(LOCAL))
    try:
        return import_module("variants_table")
    finally:
        sys.path.remove(str(LOCAL))


def score(wer, passes, voice):
    rows = {f"u{i}": {"text": "a b c d", "wer": value, "voice_preservation": voice} for i, value in enumerate(wer)}
    return {"utterances": rows, "decode": {"passes": passes}, "settings": {"recognizers": ["ear"]}}


@pytest.fixture
def variants(variants_table, monkeypatch):
    scores = {"paper": score([0, 50, 25, 25], 19, 0.8), "quick": score([25, 75, 50, 50], 5, 0.9)}
    monkeypatch.setattr(variants_table, "read_score", lambda path: scores[path.parts[-3].split("_")[1]])
    sets = ["test", "test_unseen"]
    return [variants_table.Variant(name, f"exp/options_{name}_{{seed}}", [0, 1], sets) for name in scores]


def test_differences_are_those_of_each_utterance(variants_table, variants):
    paper, quick = variants
    assert variants_table.estimate(paper.errors["soundstorm"]).value == pytest.approx(25)
    gap = variants_table.difference(quick.errors["soundstorm"], paper.errors["soundstorm"])
    # Every utterance is 25 % worse, so there is no doubt about the difference, whatever the spread of the utterances.
    assert (gap.value, gap.low, gap.high) == pytest.approx((25, 25, 25))
    assert variants_table.difference(quick.voice, paper.voice).value == pytest.approx(0.1)
    assert quick.passes == {"soundstorm": 5, "soundstorm_prompted": 5}


def test_the_table_says_so(variants_table, variants):
    lines = variants_table.render(variants).splitlines()
    assert lines[2] == "| `paper` | 25.0 |  | 25.0 |  | 0.800 |  | 19 / 19 |"
    assert lines[3].startswith("| `quick` | 50.0 | +25.0 [+25.0, +25.0] |") and lines[3].endswith("| 5 / 5 |")


def test_the_seeds_are_beside_each_other(variants_table, variants):
    assert variants_table.render_seeds(variants, [0, 1]).splitlines()[2] == "| `paper` | 25.0 / 25.0 | 25.0 / 25.0 |"


def test_other_ears_are_no_comparison(variants_table, variants):
    assert variants_table.one_ear(variants) == "ear"
    variants[1].recognizers = {"closed:exp/recognizer"}
    with pytest.raises(ValueError, match="different recognisers"):
        variants_table.one_ear(variants)


def test_other_utterances_are_no_comparison(variants_table, variants):
    with pytest.raises(ValueError, match="different utterances"):
        variants_table.difference({"u9": (1.0, 1.0)}, variants[0].errors["soundstorm"])
