"""A corpus of another shape through all stages, with the smallest of models: `pytest -m integration`."""

import pytest

from .readers import OPTIONS, follow_readme, write_configs, write_corpus

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 2, "save_every": 2}


def test_the_readme_s_corpus_goes_through_all_stages(checkout, tmp_path):
    write_corpus(tmp_path / "readers", seconds=4.5, chapters=4)
    follow_readme(checkout, tmp_path / "readers")
    recipe = checkout.root / "egs/readers"
    write_configs(recipe, **TRAINING)
    options = [
        *OPTIONS,
        "--systems", "codec semantic_prompted text", "--baselines", "audiolm", "--prompt-seconds", "2",
        "--decode-args", "--audiolm.overlap-seconds 2",
        "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.md",
    ]  # fmt: skip
    done = checkout.run(["./run.sh", *options], cwd="egs/readers", timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "| SoundStorm (2 s prompt) |" in (recipe / "RESULTS.md").read_text()
    assert (recipe / "exp/report/index.html").exists()
    assert len((recipe / "exp/timing.tsv").read_text().splitlines()) == 8
