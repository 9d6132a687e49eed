"""VERSA's measurements become figures of a row; VERSA itself is stood in for by a program that writes as it does."""

import json
import os
import re

import numpy as np
import pytest

from soundstorm.bin import report, score
from soundstorm.data.audio import write_audio
from soundstorm.data.errors import InputError
from soundstorm.scoring import versa
from soundstorm.scoring.measures import Pair
from soundstorm.scoring.versa import Versa, read_scores

# Reads the options of versa/bin/scorer.py, and writes its lines: numbers, texts, counts of an alignment.
SCORER = '''
import argparse, json, soundfile
parser = argparse.ArgumentParser()
for name in ("pred", "gt", "text", "score_config", "output_file", "io", "use_gpu"):
    parser.add_argument(f"--{name}")
args = parser.parse_args()
table = lambda path: dict(line.rstrip("\\n").split(maxsplit=1) for line in open(path)) if path else {}
texts, originals = table(args.text), table(args.gt)
assert args.io == "soundfile"
if "fail" in open(args.score_config).read():
    raise SystemExit("no such metric: fail")
with open(args.output_file, "w") as stream:
    for key, path in table(args.pred).items():
        wav, rate = soundfile.read(path)
        if len(wav) < rate:
            continue  # too short
        line = {"key": key, "seconds": len(wav) / rate, "mcd": float("nan"), "hyp_text": "x"}
        if key in texts:
            words = len(texts[key].split())
            line.update(ref_text=texts[key], whisper_wer_delete=1, whisper_wer_insert=0, whisper_wer_replace=0)
            line["whisper_wer_equal"] = words - 1
        if key in originals:
            line["pesq"] = soundfile.info(originals[key]).duration
        stream.write(json.dumps(line) + "\\n")
'''
COUNTS = [f"x_cer_{count}" for count in ("delete", "insert", "replace", "equal")]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program that is called as VERSA's, and a configuration of it."""
    (tmp_path / "path/versa/bin").mkdir(parents=True)
    for name in ("__init__.py", "bin/__init__.py"):
        (tmp_path / "path/versa" / name).touch()
    (tmp_path / "path/versa/bin/scorer.py").write_text(SCORER)
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "versa.yaml").write_text("- name: whisper_wer\n")
    return tmp_path / "versa.yaml"


@pytest.fixture
def sets(tmp_path):
    """A test set and what a system made of it, some seconds longer."""
    rng = np.random.default_rng(0)
    for folder, more in (("test", 0.0), ("made", 1.0)):
        lines = []
        for utt, seconds in (("a/1", 2.0), ("b2", 5.0), ("c", 3.0)):
            path = tmp_path / folder / f"{seconds:g}.wav"
            write_audio(path, rng.normal(0, 0.05, round(16000 * (seconds + more))).astype(np.float32), 16000)
            lines.append(f"{utt} {path}\n")
        (tmp_path / folder / "wav.scp").write_text("".join(lines))
    (tmp_path / "test/text").write_text("a/1 one cup of tea\nb2 good morning\nc it is late\n")
    return tmp_path


def run(folder, *arguments):
    options = ["--data-dir", folder / "test", "--speaker", "none", "--score.quality_utterances", "0"]
    score.main([str(word) for word in (*options, *arguments, "--output", folder / "score.json")])
    return json.loads((folder / "score.json").read_text()) if "--share" not in arguments else None


def test_its_figures_are_in_the_row_and_in_the_report(sets, stand_in):
    made = ("--wav-scp", sets / "made/wav.scp", "--system", "Theirs")
    content = run(sets, *made, "--versa", stand_in)
    assert {name: lengths["all"]["value"] for name, lengths in content["metrics"].items()} == pytest.approx(
        {"versa_whisper_wer": 100 * 3 / 9, "versa_seconds": 13 / 3, "versa_pesq": 10 / 3}
    )
    assert content["metrics"]["versa_seconds"]["all"]["count"] == 3
    assert content["utterances"]["b2"]["versa_whisper_wer"] == 50.0
    assert content["settings"]["versa"] == str(stand_in)
    report.main(["--scores", str(sets / "score.json"), "--output", str(sets / "report")])
    table = (sets / "report/RESULTS.md").read_text()
    assert "| versa whisper wer |" in table and re.search(r"Theirs \|.* 33\.333 \[", table)


def test_originals_have_no_other_recordings_to_be_compared_with(sets, stand_in):
    content = run(sets, "--versa", stand_in)
    assert sorted(content["metrics"]) == ["versa_seconds", "versa_whisper_wer"]


def test_it_is_not_asked_again_about_what_was_measured(sets, stand_in, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "soundstorm.scoring.assemble.run_versa", lambda config, ids, **more: asked.append(ids) or versa.run_versa(
            config, ids, **more
        )
    )  # fmt: skip
    for share in ("1/2", "2/2"):
        run(sets, "--versa", stand_in, "--share", share)
    assert sorted(utt for ids in asked for utt in ids) == ["a/1", "b2", "c"] and len(asked) == 2
    assert run(sets, "--versa", stand_in)["num_utterances"] == 3 and len(asked) == 2


def test_what_it_leaves_out_is_named(sets, stand_in):
    write_audio(sets / "made/3.wav", np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32), 16000)
    content = run(sets, "--wav-scp", sets / "made/wav.scp", "--system", "Theirs", "--versa", stand_in)
    assert content["left_out"] == {"versa": {"c": "VERSA left it out, e.g. as too short"}}
    assert content["metrics"]["versa_seconds"]["all"]["count"] == 2


def test_its_failure_is_told_with_its_last_words(sets, stand_in):
    stand_in.write_text("- name: fail\n")
    with pytest.raises(InputError, match="versa.yaml: VERSA ended with status 1, saying: no such metric: fail"):
        run(sets, "--versa", stand_in)


def test_without_it_the_message_says_how_to_install_it(sets, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="--versa no.yaml: no such file; expected a score_config"):
        run(sets, "--versa", "no.yaml")
    (tmp_path / "x.yaml").touch()
    monkeypatch.setattr(versa, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="VERSA is not installed here; install it by: pip install git"):
        run(sets, "--versa", tmp_path / "x.yaml")


def test_lines_are_joined(tmp_path):
    lines = [
        {"key": "a", "utmos": 3.5, "spk": 0.5, **dict(zip(COUNTS, (1, 2, 3, 4)))},
        {"key": "b", "utmos": None, "good": True, "text": "words", "inf": float("inf"), "list": [1]},
        {"key": "c", **dict(zip(COUNTS, (0, 2, 0, 0)))},
    ]
    (tmp_path / "out").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_scores(tmp_path / "out", "c.yaml")
    expected = {"versa_x_cer": (600.0, 8.0), "versa_utmos": (3.5, 1.0), "versa_spk": (0.5, 1.0)}
    assert found == {"a": expected, "b": {}, "c": {}}
    pair = Pair("a", np.zeros(1, np.float32), np.zeros(1, np.float32), 16000)
    assert Versa(found)(pair).values["versa_spk"] == (0.5, 1.0)


@pytest.mark.parametrize(
    "content, message",
    [
        ("{'key': 'a', 'utmos': 3.5}\n", "line 1 of VERSA's output is \"{'key': 'a', .*, expected a JSON object"),
        ('{"key": "a", "utmos": 1}\n[]\n', "line 2 of VERSA's output is '\\[\\]'"),
        ('{"utmos": 1}\n', "expected a JSON object with the utterance as key"),
        ('{"key": "a", "hyp": "x"}\n', "VERSA measured nothing of 1 utterances; does c.yaml name metrics"),
        ("", "VERSA measured nothing of 0 utterances"),
    ],
)
def test_output_of_another_form_is_refused(tmp_path, content, message):
    (tmp_path / "out").write_text(content)
    with pytest.raises(InputError, match=message):
        read_scores(tmp_path / "out", "c.yaml")
