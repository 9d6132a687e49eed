"""Speech that other systems made is scored from a table of recordings."""

import json
import os

import numpy as np
import pytest

from soundstorm.bin import report, score
from soundstorm.data.audio import write_audio
from soundstorm.data.share import Share
from soundstorm.scoring.assemble import MEASURES_VERSION, ScoringJob, inputs_digest, score_files
from soundstorm.scoring.scoring_config import ScoreConfig


@pytest.fixture
def recordings(tmp_path):
    """Another system's output, a test set of the same utterances, and what they say."""
    rng = np.random.default_rng(0)
    for folder in ("elsewhere", "test"):
        lines = []
        for utt, seconds in (("a", 2.0), ("b", 5.0), ("c", 3.0)):
            path = tmp_path / folder / f"{utt}.wav"
            write_audio(path, rng.normal(0, 0.05, round(16000 * seconds)).astype(np.float32), 16000)
            lines.append(f"{utt} {path}\n")
        (tmp_path / folder / "wav.scp").write_text("".join(lines))
    (tmp_path / "text").write_text("a one cup of tea\nb good morning\nc it is late\n")
    (tmp_path / "test/text").write_text((tmp_path / "text").read_text())
    return tmp_path


def run(*arguments):
    score.main([*map(str, arguments), "--score.quality-utterances", "0"])


def test_a_table_of_recordings_and_a_text_are_enough(recordings, whisper_dir):
    output = recordings / "theirs.json"
    table = recordings / "elsewhere/wav.scp"
    run("--wav-scp", table, "--text", recordings / "text", "--system", "Theirs", "--recognizer", whisper_dir,
        "--output", output)  # fmt: skip
    content = json.loads(output.read_text())
    assert content["system"] == "Theirs" and content["group"] == "without prompt"
    assert content["metrics"]["wer"]["all"]["count"] == 3
    assert not [name for name in content["metrics"] if name.startswith("voice")], "there are no originals"
    assert content["utterances"]["b"]["text"] == "good morning"
    before = output.stat().st_mtime_ns
    run("--wav-scp", table, "--text", recordings / "text", "--system", "Theirs", "--recognizer", whisper_dir,
        "--output", output)  # fmt: skip
    assert output.stat().st_mtime_ns == before, "the same files are not scored again"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    run("--wav-scp", table, "--text", recordings / "text", "--system", "Theirs", "--recognizer", whisper_dir,
        "--output", output)  # fmt: skip
    assert json.loads(output.read_text())["metrics"]["wer"]["all"]["count"] == 2


def test_recordings_replaced_under_the_same_names_are_scored_again(recordings):
    """The other system was trained again, with the same table: neither a score nor a part of one is its."""
    table, output = recordings / "elsewhere/wav.scp", recordings / "theirs.json"
    wavs = [recordings / f"elsewhere/{utt}.wav" for utt in "abc"]

    def outdated(**more):
        options = {
            "recognizers": [], "vocabulary_text": None, "speaker": None, "consistency": None,
            "sample_rate": 16000, "device": "cpu", "config": ScoreConfig(quality_utterances=0),
        }  # fmt: skip
        job = ScoringJob("Theirs", None, str(table), str(output), str(recordings / "text"))
        return bool(score_files([job], **options | more))

    assert outdated() and not outdated()
    times = wavs[1].stat()
    write_audio(wavs[1], np.full(16000, 0.1, np.float32), 16000)
    os.utime(wavs[1], ns=(times.st_atime_ns, times.st_mtime_ns))  # as cp -p and rsync -a do
    assert outdated() and not outdated()
    assert json.loads(output.read_text())["utterances"]["b"]["decoded_seconds"] == 1.0
    os.utime(wavs[2], (1e9, 1e9))
    assert outdated(dry_run=True) and outdated(share=Share(1, 2))
    (log,) = recordings.glob("theirs.json.share*")
    lines = len(log.read_text().splitlines())
    os.utime(wavs[2], (2e9, 2e9))
    assert outdated(share=Share(1, 2)) and len(log.read_text().splitlines()) == lines, "begun again, not added to"
    assert outdated() and not outdated()
    (recordings / "words").write_text("x tea\n")
    vocabulary = {"vocabulary_text": str(recordings / "words")}
    assert outdated(**vocabulary) and not outdated(**vocabulary)
    (recordings / "words").write_text("x cup tea\n")
    assert outdated(**vocabulary, dry_run=True)


def test_figures_of_another_meaning_are_made_again(monkeypatch):
    before = inputs_digest([], {})
    monkeypatch.setattr("soundstorm.scoring.assemble.MEASURES_VERSION", MEASURES_VERSION + 1)
    assert inputs_digest([], {}) != before


def test_a_row_from_elsewhere_joins_the_report(recordings, whisper_dir, tmp_path):
    names = ("--recognizer", whisper_dir, "--speaker", "none")
    run("--data-dir", recordings / "test", *names, "--output", tmp_path / "original.json")
    run("--data-dir", recordings / "test", "--wav-scp", recordings / "elsewhere/wav.scp", "--system", "Theirs",
        *names, "--output", tmp_path / "theirs.json")  # fmt: skip
    report.main(["--scores", str(tmp_path / "original.json"), str(tmp_path / "theirs.json"),
                 "--output", str(tmp_path / "report")])  # fmt: skip
    lines = [line for line in (tmp_path / "report/RESULTS.md").read_text().splitlines() if line.startswith("| ")]
    assert any(line.startswith("| Theirs | 3 |") for line in lines)
    assert any(line.startswith("| Original | 3 |") for line in lines)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--wav-scp x --system A --output o.json", "--wav-scp needs --system, and --data-dir or --text"),
        ("--wav-scp x --text t --output o.json", "--wav-scp needs --system"),
        ("--output o.json", "required: --data-dir"),
        ("--wav-scp /nowhere/x --text t --system A --output o.json", "/nowhere/x: no such file; expected a table"),
    ],
)
def test_what_is_missing_is_said(arguments, message, capsys):
    with pytest.raises(SystemExit):
        score.main(arguments.split())
    assert message in capsys.readouterr().err
