"""The small preset of egs/piano from made-up music to its scores, then once more: `pytest -m integration`."""

import json
import shutil

import pytest

from .conftest import Checkout

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="no fluidsynth: make -C tools system"),
]
TITLES = [
    "Original", "Codec round trip", "SoundStorm (2 s prompt)", "AudioLM (2 s prompt)",
    "SoundStorm, continuation (2 s prompt)", "AudioLM, continuation (2 s prompt)", "Acoustic-only AudioLM (2 s prompt)",
]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, warm_python):
    """The recipe's directory after a full run, with the run's output."""
    pytest.importorskip("mido", reason="pip install -e '.[piano]'")
    checkout = Checkout(tmp_path_factory.mktemp("piano") / "checkout", warm_python)
    command = ["./run_small.sh", "--train-threads", "1"]
    checkout.done = checkout.run(command, cwd="egs/piano", timeout=1500)
    assert checkout.done.returncode == 0, f"{checkout.done.stdout[-3000:]}\n{checkout.done.stderr[-3000:]}"
    checkout.again = checkout.run(command, cwd="egs/piano", timeout=300)
    checkout.recipe = checkout.root / "egs/piano"
    return checkout


def test_every_stage_finishes_and_a_second_run_does_nothing(recipe):
    for stage in range(8):
        ended = "complete, nothing to do" if stage == 5 else "finished in"  # there are no words to learn from
        assert f"Stage {stage}: {ended}" in recipe.done.stdout
        assert f"Stage {stage}: complete, nothing to do" in recipe.again.stdout


def test_every_system_is_in_the_report_with_its_speed(recipe):
    report = json.loads((recipe.recipe / "exp_small/report/report.json").read_text())
    rows = {row["system"]: row for row in report["sets"]["test"]["rows"]}
    assert list(rows) == TITLES
    parts = rows["SoundStorm, continuation (2 s prompt)"]["runtime"]
    assert set(parts) == {"audiolm_semantic", "soundstorm", "codec", "total"}
    assert len(report["codebooks"]) == 3 and (recipe.recipe / "exp_small/report/index.html").is_file()


def test_music_is_measured_beside_the_true_continuation_and_another_piece(recipe):
    content = json.loads((recipe.recipe / "exp_small/soundstorm/extras/music_test.json").read_text())
    rows = {row["system"]: row["metrics"] for row in content["rows"]}
    assert list(rows) == ["Original (true continuation)", "Another piece", *TITLES[1:]]
    assert all({"key", "tempo", "frechet"} <= set(metrics) for metrics in rows.values())
    assert rows["Original (true continuation)"]["key"]["value"] > rows["Another piece"]["key"]["value"]
    assert "## Music on `test`" in (recipe.recipe / "exp_small/report/RESULTS.md").read_text()
