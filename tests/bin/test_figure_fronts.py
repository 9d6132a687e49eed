"""Fronts that measure beside the scores, on the tiny chain: their files are whole and become parts of the report."""

import json
import re
import shlex
import shutil
import sys

import pytest

from soundstorm.bin import detect, measure_iterations, measure_runtime, pack_model, score, train_recognizer
from soundstorm.bin.synthesize import SAMPLING
from soundstorm.scoring.extras import extra_sections, read_extra
from soundstorm.timing.parts import timed_parts
from tests.decoding.test_chain import STEPS, chain, decode  # noqa: F401


def run(front, *arguments):
    front.main([str(argument) for argument in arguments])


def networks(chain):  # noqa: F811
    return "--data-dir", chain / "data", "--codec", chain / "codec", "--acoustic-model", chain / "soundstorm"


def test_run_time_is_measured_for_every_part_and_length(chain, tmp_path, capsys):  # noqa: F811
    output = tmp_path / "figures/runtime.json"
    reader = ("--text-to-semantic", chain / "text_to_semantic", "--text-to-semantic", chain / "masked_text_to_semantic")
    baseline = ("--acoustic-model", chain / "audiolm", "--audiolm.overlap-seconds", 0.3)
    run(measure_runtime, *networks(chain), *reader, *baseline, "--lengths", 2, 1, "--repeats", 3, "--device", "cpu",
        "--output", output)  # fmt: skip
    content = read_extra(output)
    assert list(content["points"]) == [
        "codec decoding", "SoundStorm", "AudioLM stages 2 and 3", "text to semantic",
        "text to semantic in parallel", "AudioLM stage 1",
    ]  # fmt: skip
    for part, points in content["points"].items():
        assert [point["seconds"] for point in points] == [1.0, 2.0]
        assert all(point["repeats"] == 3 and point["median"] > 0 for point in points)
        if not part.startswith("text to semantic"):
            assert [point["made_seconds"] for point in points] == pytest.approx([1.0, 2.0], abs=0.05)
    assert content["facts"]["command"].endswith(f"--output {output}`")
    assert {"commit", "date", "hardware"} <= set(content["facts"])
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    assert "| 2 |" in table and "AudioLM stages 2 and 3 : SoundStorm" in table


def test_models_of_one_kind_and_packs_with_or_without_a_first_stage_are_timed_side_by_side(chain, tmp_path):  # noqa: F811
    shutil.copytree(chain / "audiolm", tmp_path / "music", ignore=shutil.ignore_patterns("semantic"))
    for name, place in (("whole", chain / "audiolm"), ("rest", tmp_path / "music")):
        models = ("--acoustic-model", place, "--acoustic-model", chain / "soundstorm")
        run(pack_model, *models, "--output", tmp_path / name)
    parts, generators = timed_parts(
        chain / "data", codec=str(chain / "codec"), acoustic_models=[
            str(chain / "soundstorm"), f"soundstorm:{tmp_path}/whole", str(chain / "audiolm"),
            f"audiolm:{tmp_path}/whole", f"audiolm:{tmp_path}/rest",
        ],
        text_to_semantic=[str(chain / "text_to_semantic"), str(chain / "text_to_semantic")],
        samplings={name: sampling() for name, sampling in SAMPLING.items()},
    )  # fmt: skip
    audiolm = "AudioLM stages 2 and 3"
    assert generators == ["SoundStorm", "SoundStorm (whole)", audiolm, f"{audiolm} (whole)", f"{audiolm} (rest)"]
    assert list(parts) == ["codec decoding", *generators, "text to semantic", "text to semantic (text_to_semantic)",
                           "AudioLM stage 1", "AudioLM stage 1 (whole)"]  # fmt: skip


def test_word_errors_and_quality_are_measured_for_every_number_of_iterations(chain, tmp_path):  # noqa: F811
    both = ("--train-data", chain / "data", "--valid-data", chain / "data")
    small = "--model.num-mels 8 --model.width 8 --model.blocks 1".split()
    run(train_recognizer, *both, *small, *STEPS, "--expdir", tmp_path / "recognizer")
    output = tmp_path / "iterations.json"
    options = ("--iterations", 4, 1, "--utterances", 3, "--quality-utterances", 0, "--folder", tmp_path / "work")
    options += ("--recognizer", tmp_path / "recognizer", "--device", "cpu", "--output", output)
    run(measure_iterations, *networks(chain), *options)
    points = read_extra(output)["points"]
    assert [point["iterations"] for point in points] == [1, 4]
    assert all(point["metrics"]["wer"]["count"] == 3 for point in points)
    settings = [json.loads((tmp_path / f"work/decode_{n}/decode.json").read_text()) for n in (1, 4)]
    assert [setting["sampling"]["iterations"] for setting in settings] == [[1, 1], [4, 1]]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.wav")}
    run(measure_iterations, *networks(chain), *options)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.wav")}


def test_a_detector_is_trained_and_tested(chain, tmp_path):  # noqa: F811
    real = decode(chain, tmp_path / "codec", "--from", "codec")
    generated = decode(chain, tmp_path / "semantic", "--from", "semantic")
    options = ["--data-dir", chain / "data", "--real", real, "--generated", generated, "--system", "SoundStorm"]
    options += "--model.crop-seconds 0.3 --model.width 8 --model.blocks 1 --model.num-mels 8".split()
    options += [*STEPS, "--expdir", tmp_path / "exp", "--device", "cpu", "--output", tmp_path / "detector.json"]
    run(detect, *options)
    content = read_extra(tmp_path / "detector.json")
    assert content["train_utterances"] + content["test_utterances"] == 4
    assert 0 <= content["accuracy"]["low"] <= content["accuracy"]["value"] <= content["accuracy"]["high"] <= 100
    assert "| SoundStorm |" in extra_sections([content])[0]
    (real / "wav.scp").touch()
    with pytest.raises(ValueError, match="started with other settings: data.decoded"):
        run(detect, *options)


def test_further_measurements_are_subcommands_of_score(chain, tmp_path, monkeypatch):  # noqa: F811
    output = tmp_path / "abx.json"
    phones = [f"{utt} 1 {at / 10:.1f} 0.1 {'mts'[at % 3]}\n" for utt in ("a-1", "b-2") for at in range(9)]
    (tmp_path / "phones.ctm").write_text("".join(phones))
    for name in ("wav.scp", "utt2spk", "utt2dur"):
        (tmp_path / name).write_bytes((chain / "data" / name).read_bytes())
    arguments = ["--data-dir", tmp_path, "--kmeans", chain / "kmeans", "--abx.context", "none", "--output", output]
    arguments = ["abx", *map(str, arguments)]
    monkeypatch.setattr(sys, "argv", ["score.py", *arguments])
    score.main()
    content = read_extra(output)
    assert content["facts"]["command"] == f"`python -m soundstorm.bin.score {shlex.join(arguments)}`"
    assert set(score.FURTHER) == {"abx", "detector", "iterations", "music", "pairs", "runtime", "report"}
    for name in score.FURTHER:
        with pytest.raises(SystemExit, match="0"):
            score.main([name, "--help"])


@pytest.mark.parametrize(
    "front, arguments, message",
    [
        (measure_runtime, ["--lengths", "0"], "--lengths are [0.0]"),
        (measure_runtime, ["--lengths", "1", "inf"], "--lengths are [1.0, inf]"),
        (measure_runtime, ["--repeats", "0"], "--repeats is 0"),
        (measure_iterations, ["--iterations", "0", "--recognizer", "x", "--folder", "y"], "--iterations are [0]"),
    ],
)
def test_wrong_requests_are_refused(chain, tmp_path, monkeypatch, front, arguments, message):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        run(front, *networks(chain), *arguments, "--device", "cpu", "--output", tmp_path / "x.json")
