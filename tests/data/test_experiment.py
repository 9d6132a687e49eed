"""An experiment keeps its settings: what may change on resuming and is written down, what is refused."""

from dataclasses import replace

import pytest
import yaml

from soundstorm.data.experiment import read_config, start_experiment
from soundstorm.training.training_config import TrainerConfig

CONFIG = TrainerConfig(batch_size=4)
CHANGES = {
    "max_steps": 20, "learning_rate": 0.1, "num_workers": 2, "log_every": 7, "valid_every": 7,
    "save_every": 7, "keep_checkpoints": 7, "max_skipped_steps": 7,
}  # fmt: skip


def start(folder, **changes):
    start_experiment(folder, {"model": {"width": 8}, "training": replace(CONFIG, **changes)}, ["train"])


def test_other_settings_in_an_existing_experiment_are_refused(tmp_path):
    start(tmp_path)
    start(tmp_path)
    assert read_config(tmp_path)["training"]["betas"] == [0.9, 0.98]
    with pytest.raises(ValueError, match="model.width was 8 and is now 16. Choose another tag"):
        start_experiment(tmp_path, {"model": {"width": 16}, "training": CONFIG}, ["train"])
    refused = {
        "seed": 1,
        "precision": "bf16",
        "gradient_accumulation": 2,
        "warmup_steps": 1,
        "ema_decay": 0.5,
    }
    for name, value in refused.items():
        with pytest.raises(ValueError, match=f"training.{name} was .* and is now {value!r}"):
            start(tmp_path, **{name: value}, max_steps=20)
    assert read_config(tmp_path)["training"]["max_steps"] == 1000 and not (tmp_path / "changes.txt").exists()


def test_what_may_change_on_resuming_is_taken_over_and_written_down(tmp_path):
    start(tmp_path)
    for name, value in CHANGES.items():
        start(
            tmp_path,
            **{n: v for n, v in CHANGES.items() if list(CHANGES).index(n) <= list(CHANGES).index(name)},
        )
        assert read_config(tmp_path)["training"][name] == value
    start(tmp_path, **CHANGES)
    lines = (tmp_path / "changes.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == [f"training.{name}" for name in CHANGES]
    assert lines[0].endswith("training.max_steps was 1000 and is now 20; training goes on")
    start(tmp_path, **CHANGES, batch_size=None, batch_seconds=60.0)
    lines = (tmp_path / "changes.txt").read_text().splitlines()[len(CHANGES) :]
    inexact = "training goes on, but not as one that was never interrupted"
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"training.batch_seconds was None and is now 60.0; {inexact}",
        f"training.batch_size was 4 and is now None; {inexact}",
    ]


def test_a_finished_experiment_goes_on_as_the_message_says(tmp_path):
    start(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ValueError, match="is now 2000. Its training is finished: remove .*model"):
        start(tmp_path, max_steps=2000)
    (tmp_path / "model.safetensors").unlink()
    start(tmp_path, max_steps=2000)
    assert read_config(tmp_path)["training"]["max_steps"] == 2000


def test_a_setting_that_is_newer_than_the_experiment_is_no_change(tmp_path):
    start(tmp_path)
    old = read_config(tmp_path)
    for name in ("max_skipped_steps", "ema_decay"):  # one that may change, and one that may not
        del old["training"][name]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    start(tmp_path)
    assert not (tmp_path / "changes.txt").exists()
    with pytest.raises(ValueError, match="training.ema_decay was None and is now 0.5"):
        start(tmp_path, ema_decay=0.5)


def test_only_the_first_of_several_processes_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    start(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    start(tmp_path)
    monkeypatch.setenv("RANK", "1")
    start(tmp_path, max_steps=20)
    assert read_config(tmp_path)["training"]["max_steps"] == 1000
    with pytest.raises(ValueError, match="seed was 0 and is now 1"):
        start(tmp_path, seed=1)
