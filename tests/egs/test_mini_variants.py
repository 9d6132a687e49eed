"""The table of egs/mini/run_options.sh: variants against the first, utterance by utterance."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from soundstorm.scoring.statistics import bootstrap

LOCAL = Path(__file__).resolve().parent.parent.parent / "egs/mini/local"


@pytest.fixture(scope="module")
def variants_table():
    sys.path.insert(0, str(LOCAL))
    try:
        return import_module("variants_table")
    finally:
        sys.path.remove(str(LOCAL))


def score(wer, passes, voice, **runtime):
    rows = {
        f"u{i}": {"text": "a b c d", "wer": value, "wer_ours": value / 2, "wer_after_prompt": 3.0, "dnsmos": 2.0,
                  "voice_preservation": voice}
        for i, value in enumerate(wer)
    }  # fmt: skip
    runtime["soundstorm"] = {"seconds": passes / 10, "audio_seconds": 10.0}
    decode = {"passes": passes, "kind": "soundstorm"}
    return {"utterances": rows, "decode": decode, "settings": {"recognizers": ["ear", "ours"]}, "runtime": runtime}


@pytest.fixture
def variants(variants_table, monkeypatch):
    scores = {"paper": score([0, 50, 25, 25], 19, 0.8), "quick": score([25, 75, 50, 50], 5, 0.9)}
    del scores["quick"]["utterances"]["u3"]["dnsmos"], scores["paper"]["utterances"]["u3"]["dnsmos"]
    monkeypatch.setattr(variants_table, "read_score", lambda path: scores[path.parts[-3].split("_")[1]])
    sets = ["test", "test_unseen"]
    read = variants_table.read_variant
    return {name: read(f"exp/options_{name}_{{seed}}", "soundstorm", [0, 1], sets) for name in scores}


def test_differences_are_those_of_each_utterance(variants_table, variants):
    paper, quick = variants.values()
    assert variants_table.estimate(paper.metrics["wer"]).value == pytest.approx(25)
    gap = variants_table.difference(quick.metrics["wer"], paper.metrics["wer"], {})
    # Every utterance is 25 % worse, so there is no doubt about the difference, whatever the spread of the utterances.
    assert (gap.value, gap.low, gap.high) == pytest.approx((25, 25, 25))
    gap = variants_table.difference(quick.metrics["voice_preservation"], paper.metrics["voice_preservation"], {})
    assert gap.value == pytest.approx(0.1)
    assert quick.passes == 5 and quick.real_time_factor == pytest.approx(0.05)
    assert set(paper.metrics["wer"]) == {"u0", "u1", "u2", "u3"} and set(paper.metrics["dnsmos"]) == {"u0", "u1", "u2"}


def test_the_table_says_so(variants_table, variants):
    head, _, base, quick = variants_table.render(variants).splitlines()
    assert head == (
        "|  | WER % | against paper | WER %, second opinion (ours) | against paper "
        "| Voice preservation | against paper | Audio quality (DNSMOS) | against paper | Real-time factor | Passes |"
    )
    assert base == "| `paper` | 25.0 |  | 12.5 |  | 0.800 |  | 2.00 |  | 0.1900 | 19 |"
    assert quick.startswith("| `quick` | 50.0 | +25.0 [+25.0, +25.0] | 25.0 | +12.5")
    assert quick.endswith("| 0.0500 | 5 |")


def test_differences_of_words_are_drawn_by_speaker_where_the_scores_name_them(variants_table, variants):
    base, quick = variants["paper"].metrics["wer"], variants["quick"]
    quick.metrics["wer"] = {utt: (base[utt][0] + 400 * place, base[utt][1]) for place, utt in enumerate(base)}
    quick.speakers = dict(zip(base, "aabb"))
    weights = [words for _, words in base.values()]
    gap = bootstrap([0, 400, 800, 1200], weights, speakers=list("aabb"))
    assert gap != bootstrap([0, 400, 800, 1200], weights)
    assert f"{gap.value:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]" in variants_table.render(variants).splitlines()[-1]


def test_the_seeds_are_beside_each_other(variants_table, variants):
    assert variants_table.render_seeds(variants, [0, 1]).splitlines()[2] == "| `paper` | 25.0 | 25.0 |"


def test_other_ears_are_no_comparison(variants_table, variants):
    assert variants_table.same_ears(list(variants.values())) == "`ear` and `ours`"
    variants["quick"].recognizers = {("closed:exp/recognizer",)}
    with pytest.raises(ValueError, match="different recognisers"):
        variants_table.same_ears(list(variants.values()))


def test_other_utterances_are_no_comparison(variants_table, variants):
    with pytest.raises(ValueError, match="different utterances"):
        variants_table.difference({"u9": (1.0, 1.0)}, variants["paper"].metrics["wer"], {})


def test_systems_of_one_kind_are_compared_and_seconds_are_those_of_all_tokens(variants_table, monkeypatch, tmp_path):
    of_text = {"seconds": 3.0, "audio_seconds": 10.0}
    scores = {"soundstorm": score([1], 7, 0.8), "soundstorm_prompted": score([2], 8, 0.8)}
    scores["soundstorm_text"] = score([3], 9, 0.8, text_to_semantic=of_text)
    scores["soundstorm_masked_text"] = score([4], 10, 0.8, text_to_semantic=of_text)
    monkeypatch.setattr(variants_table, "read_score", lambda path: scores[path.stem])
    output = tmp_path / "table.md"
    options = ["--sets", "test", "--seeds", "0", "--command", "c", "--title", "t", "--output", str(output)]
    rows = [word for system in scores for word in ("--row", f"of {system}", system, "exp")]
    monkeypatch.setattr(sys, "argv", ["variants_table.py", *rows, *options])
    variants_table.main()
    lines = [line for line in output.read_text().splitlines() if line.startswith(("## ", "| `", "|  |"))]
    headings = [line for line in lines if line[0] == "#"]
    assert headings == ["## Without prompt", "## After a prompt of 3 s", "## From text"]
    assert lines[-3].startswith("|  | WER % | against of soundstorm_text |")
    assert lines[-1].startswith("| `of soundstorm_masked_text` | 4.0 | +1.0 [+1.0, +1.0] |")
    seconds = [line.split(" | ")[-2] for line in lines if line.startswith("| `")]
    assert seconds == ["0.0700", "0.0800", "0.3900", "0.4000"]
