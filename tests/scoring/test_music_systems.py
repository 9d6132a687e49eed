"""The music section: which rows have which figures, controls, and what the report says."""

import json

import numpy as np
import pytest
import soundfile

from soundstorm.bin import measure_music
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.scoring.extras import extra, extra_figures, extra_sections, read_extra
from soundstorm.scoring.music import Note
from soundstorm.scoring.music_systems import (
    ORIGINAL,
    OTHER,
    MusicMeasurement,
    MusicTask,
    after,
    mean_curve,
    of_another_work,
    reference_wavs,
)
from soundstorm.tokens.features import open_features

from .test_frechet import Counting
from .test_music import C_MAJOR, F_SHARP, RATE, tones

WORKS = {"one-a": C_MAJOR, "one-b": C_MAJOR, "two-a": F_SHARP}


def write_set(folder, wavs):
    folder.mkdir(parents=True)
    for utt, wav in wavs.items():
        soundfile.write(folder / f"{utt}.wav", wav, RATE)
    write_table(folder / "wav.scp", {utt: str(folder / f"{utt}.wav") for utt in wavs})
    return folder


def write_system(folder, wavs, source):
    settings = {"from": source, "title": folder.name, "prompt_seconds": 4.0 * (source != "codec")}
    (write_set(folder, wavs) / "decode.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Three pieces of two works; a codec that keeps them, a continuation that goes into the other key."""
    root = tmp_path_factory.mktemp("music")
    pieces = {utt: tones(pitches, total=8.0) for utt, pitches in WORKS.items()}
    write_set(root / "data", pieces)
    write_table(root / "data/utt2spk", {utt: utt[:3] for utt in pieces})
    swapped = {C_MAJOR: F_SHARP, F_SHARP: C_MAJOR}
    astray = {utt: np.concatenate([pieces[utt][: 4 * RATE], tones(swapped[WORKS[utt]])]) for utt in pieces}
    write_system(root / "codec", pieces, "codec")
    write_system(root / "astray", astray, "continuation")
    return root


def hear(wav, sample_rate):
    """A stand-in for a transcriber: one note at 5 s, high where the sound after it is of the higher key."""
    from soundstorm.scoring.music import mean_chroma

    return [Note(1.0, 2.0, 60), Note(5.0, 6.0, int(np.argmax(mean_chroma(wav[5 * sample_rate :], sample_rate))))]


@pytest.fixture(scope="module")
def rows(music):
    pytest.importorskip("mir_eval", reason="pip install -e '.[piano]'")
    task = MusicTask(str(music / "data"), prompt_seconds=4.0, window_seconds=2.0)
    features = Counting(), [np.zeros(4 * RATE), np.zeros(6 * RATE)]
    measurement = MusicMeasurement(task, hear, features)
    found = measurement.rows([str(music / "codec"), str(music / "astray")])
    return {row["system"]: row for row in found}, measurement.rolls([str(music / "codec")])


def test_the_true_continuation_keeps_the_key_and_another_piece_does_not(rows):
    key = {name: row["metrics"]["key"] for name, row in rows[0].items()}
    assert list(key) == [ORIGINAL, OTHER, "codec", "astray"]
    assert key[ORIGINAL]["value"] > 0.99 and key[ORIGINAL]["count"] == 3
    assert key["codec"]["value"] == pytest.approx(key[ORIGINAL]["value"], abs=1e-3)
    assert key[OTHER]["value"] < 0.6 and key["astray"]["value"] < 0.6
    assert [len(row["curve"]) for row in rows[0].values()] == [2] * 4


def test_notes_are_compared_where_a_system_was_told_what_to_play(rows):
    f1 = {name: row["metrics"].get("onset_f1", {}).get("value") for name, row in rows[0].items()}
    assert f1 == {ORIGINAL: None, OTHER: 0.0, "codec": 1.0, "astray": None}


def test_every_row_has_a_distance_of_as_many_windows_at_the_encoders_rate(rows):
    found = [row["metrics"]["frechet"] for row in rows[0].values()]
    assert {figure["windows"] for figure in found} == {3 * 4}
    assert all(figure["value"] >= 0 for figure in found)


def test_rows_are_of_what_all_systems_have_and_a_piece_without_a_rest_has_no_distance(tmp_path, caplog):
    pieces = {utt: tones(WORKS[utt], total=4.0 if utt == "one-b" else 8.0) for utt in WORKS}
    write_table(write_set(tmp_path / "data", pieces) / "utt2spk", {utt: utt[:3] for utt in pieces})
    write_system(tmp_path / "codec", pieces, "codec")
    write_system(tmp_path / "few", {utt: pieces[utt] for utt in ("one-b", "two-a")}, "continuation")
    task = MusicTask(str(tmp_path / "data"), prompt_seconds=4.0, window_seconds=2.0)
    measurement = MusicMeasurement(task, None, (open_features("mfcc"), [pieces["one-a"], pieces["one-b"][:RATE // 2]]))
    rows = {row["system"]: row["metrics"] for row in measurement.rows([str(tmp_path / n) for n in ("codec", "few")])}
    assert list(rows) == [ORIGINAL, OTHER, "codec", "few"]
    assert {metrics["key"]["count"] for metrics in rows.values()} == {1}
    assert {metrics["frechet"]["windows"] for metrics in rows.values()} == {4}
    warned = [record.getMessage() for record in caplog.records if "shorter than 1 s" in record.getMessage()]
    assert [words.split(":")[0] for words in warned] == ["reference", *rows]
    assert all(": 1 of 2 stretches" in words for words in warned)
    write_system(tmp_path / "other", {"no-such": pieces["one-a"]}, "codec")
    with pytest.raises(ValueError, match="other: no utterance of .*data in it, or none that the systems before"):
        measurement.rows([str(tmp_path / "codec"), str(tmp_path / "other")])


def test_the_report_says_what_was_measured_and_draws_the_notes(rows, tmp_path):
    content = {
        "data_dir": "data/test", "prompt_seconds": 4.0, "window_seconds": 2.0, "transcriber": "a stand-in",
        "encoder": "`exp/hubert` layer 3", "reference": "`train`", "rows": list(rows[0].values()), "rolls": rows[1],
    }  # fmt: skip
    content = json.loads(json.dumps(extra("music", content, command="run")))
    (section,) = extra_sections([content])
    assert "## Music on `test`" in section and "| System | Note onset F1 [95 %] (pieces) | Key consistency" in section
    assert "| astray | - |" in section and "our own encoder, `exp/hubert` layer 3; comparable within" in section
    (title, path), *_ = extra_figures([content], tmp_path).items()
    assert title == "Piano rolls of the first utterance on test" and path.stat().st_size > 1000
    bare = {**content, "encoder": None, "transcriber": None, "rolls": {}}
    assert "Fréchet" not in extra_sections([bare])[0] and not extra_figures([bare], tmp_path)


def test_the_front_measures_with_an_encoder_and_without_a_transcriber(music, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("soundstorm.scoring.transcription.has_transcriber", lambda: False)
    options = ["--data-dir", music / "data", "--decode-dirs", music / "codec", "--prompt-seconds", 4]
    measure_music.main([*map(str, options), "--output", str(tmp_path / "music.json")])
    content = read_extra(tmp_path / "music.json")
    assert [row["system"] for row in content["rows"]] == [ORIGINAL, OTHER, "codec"]
    assert not content["rolls"] and "no transcriber is installed; pip install" in caplog.text
    with pytest.raises(ValueError, match="--prompt-seconds is 0.0, expected more than 0"):
        measure_music.main([*map(str, options[:-1]), "0", "--output", "x"])
    options += ["--features", "mfcc"]
    with pytest.raises(ValueError, match="--features needs --reference"):
        measure_music.main([*map(str, options), "--output", "x"])
    monkeypatch.setattr("soundstorm.scoring.extras.run_facts", lambda command, device: {"device": device})
    options += ["--reference", music / "data", "--device", "cpu:0", "--output", tmp_path / "more.json"]
    measure_music.main([*map(str, options)])
    content = read_extra(tmp_path / "more.json")
    assert content["facts"] == {"device": "cpu:0"}
    assert content["encoder"] == "`mfcc`" and content["rows"][0]["metrics"]["frechet"]["windows"] == 12


@pytest.mark.parametrize("sizes", ["aaabbcccd", "ab", "aabb", "abcabca"])
def test_every_piece_is_another_piece_once(sizes):
    works = {str(place): work for place, work in enumerate(sizes)}
    found = of_another_work(works)
    assert sorted(found) == sorted(found.values()) == sorted(works)
    assert all(works[utt] != works[other] for utt, other in found.items())


def test_where_most_pieces_are_of_one_work_the_others_take_turns():
    works = dict(zip("12345678", "aaaaabcd"))
    found = of_another_work(works)
    assert sorted(found) == sorted(works) and all(works[utt] != works[other] for utt, other in found.items())
    assert {other for utt, other in found.items() if works[utt] == "a"} == {"6", "7", "8"}
    assert of_another_work({"1": "a", "2": "a"}) == {}


def test_parts(music):
    notes = [Note(0.0, 9.0, 60), Note(4.0, 5.0, 60)]
    assert after(notes, 4.0) == notes[1:]
    assert mean_curve([[1.0, None, 3.0], [2.0, None]]) == [1.5, None, 3.0] and mean_curve([]) == []
    assert len(reference_wavs(str(music / "data"), RATE)) == len(read_table(music / "data/wav.scp"))
