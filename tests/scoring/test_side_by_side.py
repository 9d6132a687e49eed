"""The table of systems side by side: which are compared, differences by hand, what trainings took."""

import pytest

from soundstorm.scoring.report_content import build_report
from soundstorm.scoring.side_by_side import side_by_side, training_time, trainings_of, word_error_difference
from soundstorm.scoring.statistics import bootstrap
from soundstorm.scoring.tables import render_markdown

OTHER_EAR = "wer_exp_recognizer"


def row(system, errors=(0, 0), *, source="semantic", group="without prompt", runtime=(), **decode):
    """Of an utterance of four words and one of a single word, with so many errors."""
    records = {
        utt: {"text": text, "wer": 100.0 * wrong / len(text.split()), OTHER_EAR: 0.0}
        for utt, text, wrong in zip("ab", ("w x y z", "w"), errors)
    }
    value = {"value": 20.0 * sum(errors), "low": 0.0, "high": 100.0, "count": 2}
    return {
        "system": system, "group": group, "data_dir": "data/test", "decode": {"from": source, **decode},
        "num_utterances": 2, "metrics": {name: {"all": value} for name in ("wer", OTHER_EAR, "wer_after_prompt")},
        "drift": [], "runtime": {name: {"real_time_factor": 0.25} for name in runtime}, "utterances": records,
    }  # fmt: skip


def rows():
    return [
        row("Original", source=None, group="reference"),
        row("SoundStorm", (1, 0), passes=19.0),
        row("AudioLM", (3, 1)),
        row("SoundStorm from text", (2, 0), source="text", runtime=["codec", "total"]),
        row("Tacotron 2, WaveNet", (4, 1), source="text"),
        row("AudioLM (3 s prompt)", (0, 0), group="with prompt"),
    ]


def test_systems_are_compared_with_that_of_their_source_and_prompt():
    found = side_by_side(rows(), ["SoundStorm", "SoundStorm from text"])
    assert {name: beside["against"] for name, beside in found.items()} == {
        "Original": None,
        "SoundStorm": None,
        "AudioLM": "SoundStorm",
        "SoundStorm from text": None,
        "Tacotron 2, WaveNet": "SoundStorm from text",
        "AudioLM (3 s prompt)": None,
    }
    assert set(found["AudioLM"]["differences"]) == {"wer", OTHER_EAR}  # by every ear, of whole utterances


def test_a_difference_is_of_all_words_together():
    base, other = row("base", (1, 0)), row("other", (3, 1))
    assert word_error_difference(other, base).value == pytest.approx(100 * 3 / 5)
    del other["utterances"]["b"]["wer"]  # left out there, so it is here
    assert word_error_difference(other, base).value == pytest.approx(100 * 2 / 4)
    del other["utterances"]["a"]
    assert word_error_difference(other, base) is None


def test_a_difference_is_drawn_by_speaker_where_all_are_known():
    base, other = row("base", (1, 0)), row("other", (3, 1))
    for each in (base, other):
        for utt, speaker in zip("ab", "st"):
            each["utterances"][utt]["speaker"] = speaker
    assert word_error_difference(other, base) == bootstrap([200.0, 100.0], [4, 1], speakers=["s", "t"])


def write_log(folder, *lines):
    (folder / "log").mkdir(parents=True)
    (folder / "log/train.log").write_text("".join(f"{line}\n" for line in ("# python3 -m x", *lines)))
    return folder / "log/train.log"


TIME = "# Accounting: time=120 threads=2"


def test_what_a_training_took_is_in_its_log(tmp_path):
    assert training_time(write_log(tmp_path / "whole", "x INFO: train step 75/1500 loss=1", TIME)) == (120, 2)
    interrupted = ["x INFO: exp: going on from step 500", "x INFO: train step 575/1500 loss=1", TIME]
    assert training_time(write_log(tmp_path / "interrupted", *interrupted)) == (180, 2)
    late = ["x INFO: exp: going on from step 1500", "x INFO: valid step 1500/1500 loss=1", TIME]
    assert training_time(write_log(tmp_path / "late", *late)) is None
    assert training_time(write_log(tmp_path / "running", "x INFO: train step 75/1500 loss=1")) is None
    assert training_time(tmp_path / "none") is None


def test_trainings_are_those_of_the_networks_that_took_part(tmp_path):
    for name in ("tacotron2/features", "tacotron2/wavenet", "soundstorm", "text_to_semantic"):
        write_log(tmp_path / name, TIME)
    models = {name: str(tmp_path / name) for name in ("tacotron2", "soundstorm", "text_to_semantic")}
    both, one = ["tacotron2_features", "tacotron2_wavenet", "total"], ["tacotron2_features", "tacotron2_griffin_lim"]
    for parts, count in ((both, 2), (one, 1)):
        spoken = row("Tacotron 2", runtime=parts, kind="tacotron2", acoustic_model=models["tacotron2"])
        assert trainings_of(spoken) == [(120, 2)] * count
    chain = {"acoustic_model": models["soundstorm"], "text_to_semantic": models["text_to_semantic"]}
    runtime = ["text_to_semantic", "soundstorm", "codec"]
    assert trainings_of(row("From text", runtime=runtime, kind="soundstorm", **chain)) == [(120, 2)] * 2
    chain["text_to_semantic"] = "packs/elsewhere"
    assert trainings_of(row("From text", runtime=runtime, kind="soundstorm", **chain)) == []
    assert trainings_of(row("Original", source=None)) == []


def test_the_table_comes_first_where_it_is_asked_for():
    settings = {"title": "Mini", "targets": [], "usage": [], "seconds": {}, "facts": {}}
    assert "difference" not in render_markdown(build_report(rows(), **settings))
    text = render_markdown(build_report(rows(), compared_with=["SoundStorm", "SoundStorm from text"], **settings))
    lines = text[text.index("## Scores") :].splitlines()
    second = "WER %, second opinion (recognizer)"
    assert lines[2].startswith(f"| System | WER % | difference | {second} | difference | Training")
    assert "| SoundStorm | 20.0 ± 50.0 |  | 20.0 ± 50.0 |  | - | - | 19 |" in lines
    (compared,) = [line for line in lines if line.startswith("| AudioLM | 80.0 ± 50.0 | +60.0 [")]
    assert "| 80.0 ± 50.0 | +0.0 [+0.0, +0.0] |" in compared
    assert "| SoundStorm from text | 40.0 ± 50.0 |  | 40.0 ± 50.0 |  | - | 0.250 | - |" in lines
    assert "Differences: from SoundStorm or SoundStorm from text, whichever" in text
