"""egs/librilight from its published layouts to its scores, with the smallest of models: `pytest -m integration`."""

import json

import pytest

from .published import tiny_configs, write_librilight, write_librispeech
from .readers import CONFIGS, OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
RECIPE = "egs/librilight"
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 4, "save_every": 4}


def test_librilight_goes_through_all_stages(checkout, tmp_path):
    light, speech = tmp_path / "light", tmp_path / "speech"
    write_librilight(light, {"14": 0, "1401": 1})
    write_librilight(light, {"14": 0, "960": 2}, subset="medium")  # a speaker's files once more
    write_librispeech(speech, "test-clean", {"61": 3})
    write_librispeech(speech, "train-clean-100", {"103": 4}, sentences=4)
    write_librispeech(speech, "dev-clean", {"84": 5})
    data = f"--librilight {light} --librispeech {speech} --dev-speakers 1 --text-parts train-clean-100"
    command = [
        "./run.sh", *tiny_configs(tmp_path / "tiny", CONFIGS, **TRAINING), *OPTIONS, "--portion", "1",
        "--local-data-opts", data, "--text-train-set", "train_text", "--text-valid-set", "dev_text",
        "--systems", "codec semantic_prompted text", "--baselines", "audiolm_semantic", "--figures", "",
        "--decode-args", "--text.max-seconds 4", "--speaker-model", "none", "--consistency", "none",
        "--detector", "none", "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.tiny.md",
    ]  # fmt: skip
    done = checkout.run(command, cwd=RECIPE, timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    recipe = checkout.root / RECIPE
    report = json.loads((recipe / "exp/report/report.json").read_text())
    assert list(report["sets"]) == ["test_clean"]
    rows = {row["system"]: row["metrics"] for row in report["sets"]["test_clean"]["rows"]}
    assert set(rows) == {"Original", "Codec round trip", "SoundStorm (3 s prompt)", "SoundStorm from text"}
    assert set(rows["Original"]["wer"]) == {"all", "short"}  # the paper's columns, of those that there are
    assert "| SoundStorm (3 s prompt) |" in (recipe / "RESULTS.tiny.md").read_text()
    assert len((recipe / "exp/timing.tsv").read_text().splitlines()) == 8
    assert (recipe / "data/train_text/semantic.scp").exists()
    assert not (recipe / "data/train_text/acoustic.scp").exists()  # nothing asks for these
    again = checkout.run(command, cwd=RECIPE, timeout=100)
    assert again.stdout.count("complete, nothing to do") == 8
