"""egs/mini_librispeech from its published layout to its scores, with tiny models: `pytest -m integration`."""

import json

import pytest

from .published import tiny_configs, write_librispeech
from .readers import CONFIGS, OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.usefixtures("warm_python")]
RECIPE = "egs/mini_librispeech"
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 2, "save_every": 4}


def test_mini_librispeech_goes_through_all_stages_and_knows_its_losses_afterwards(checkout, tmp_path):
    corpus = tmp_path / "corpus"
    write_librispeech(corpus, "train-clean-5", {"14": 0, "1401": 1}, sentences=4)
    write_librispeech(corpus, "dev-clean-2", {"61": 3, "84": 4})
    command = [
        "./run.sh", *tiny_configs(tmp_path / "tiny", CONFIGS, **TRAINING), *OPTIONS, "--portion", "1",
        "--local-data-opts", f"--corpus {corpus} --dev-speakers 1",
        "--systems", "codec soundstorm_prompted soundstorm_text",
        "--decode-args", "--text.max-seconds 4", "--speaker-model", "none", "--consistency", "none",
        "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.tiny.md",
        "--normal-losses", "normal.json",
    ]  # fmt: skip
    done = checkout.run(command, cwd=RECIPE, timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    recipe = checkout.root / RECIPE
    report = json.loads((recipe / "exp/report/report.json").read_text())
    rows = {row["system"]: row["metrics"] for row in report["sets"]["test"]["rows"]}
    assert set(rows) == {"Original", "Codec round trip", "SoundStorm (3 s prompt)", "SoundStorm from text"}
    results = (recipe / "RESULTS.tiny.md").read_text()
    assert "| soundstorm | 4 | accuracy |" in results and "(RESULTS.tiny_losses.png)" in results
    names = [training["name"] for training in json.loads((recipe / "normal.json").read_text())["trainings"]]
    assert names == ["hubert", "codec", "soundstorm", "text_to_semantic", "recognizer"]

    # The same once more does nothing; a training that is far from the recorded one says so at the terminal.
    done = checkout.run(command, cwd=RECIPE, timeout=200)
    assert done.returncode == 0 and done.stdout.count("complete, nothing to do") == 8
    broken = ["--codec-tag", "broken", "--codec-args", "--training.learning-rate 10"]
    done = checkout.run([*command, *broken, "--stage", "2", "--stop-stage", "2"], cwd=RECIPE, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "not normal: exp/codec_broken: loss of set train at step 4" in done.stderr
    assert "training.learning_rate is 10.0, was 0.0005" in done.stderr
