"""Figures of a training at shares of its steps: written, read back, and compared with by later ones."""

import json
import logging
from dataclasses import replace

import pytest

from soundstorm.bin import record_trainings
from soundstorm.data.experiment import start_experiment
from soundstorm.scoring.extras import read_extra
from soundstorm.training.normal_losses import read_training
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig
from tests.training.test_trainer import LineStep, NoisyLine

CONFIG = TrainerConfig(
    max_steps=40, batch_size=24, warmup_steps=2, log_every=4, valid_every=20, ema_decay=0.5, learning_rate=0.1
)


def run(folder, model=None, labels="mfcc, 8 clusters", **changes):
    config = replace(CONFIG, **changes)
    settings = {"kind": "line", "model": model or {"width": 8}, "labels": {"name": labels}}
    start_experiment(folder, {**settings, "training": config}, ["run"])
    train(LineStep(), NoisyLine(), NoisyLine(5), config, folder)
    return folder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The file of normal losses of one training."""
    folder = tmp_path_factory.mktemp("recorded")
    run(folder / "exp/line")
    files = ["--normal-losses", str(folder / "normal.json"), "--output", str(folder / "trainings.json")]
    record_trainings.main(["--expdirs", str(folder / "exp/line"), str(folder / "exp/none"), *files])
    return folder / "normal.json"


def warnings(caplog, folder, **changes):
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run(folder, **changes)
    return [record.message for record in caplog.records if "not normal" in record.message]


def test_figures_are_those_of_the_lines_nearest_to_the_shares(recorded):
    training = read_extra(recorded.with_name("trainings.json"))["trainings"][0]
    assert training == read_training(recorded.with_name("exp") / "line", "line")
    lines = (recorded.with_name("exp") / "line/metrics.jsonl").read_text().splitlines()
    losses = {(line["set"], line["step"]): line["loss"] for line in map(json.loads, lines)}
    for kind, steps in {"train": [4, 12, 20, 40], "valid": [None, None, 20, 40]}.items():
        points = training["figures"][kind]
        assert [point and point["step"] for point in points] == steps  # 8 and 12 are as near to 10: the later
        for point in filter(None, points):
            assert point["loss"] == pytest.approx(losses[kind, point["step"]], rel=1e-3)
    assert [step for step, _ in training["curves"]["train"]] == list(range(4, 41, 4))


def test_a_training_like_the_recorded_one_is_silent(recorded, caplog, tmp_path):
    for seed in (0, 1, 2):
        assert warnings(caplog, tmp_path / str(seed), seed=seed, normal_losses=str(recorded)) == []


def test_a_broken_learning_rate_is_said_at_each_recorded_step_and_stops_nothing(recorded, caplog, tmp_path):
    said = warnings(caplog, tmp_path / "slow", learning_rate=1e-6, normal_losses=str(recorded))
    steps = [word for message in said for word in message.split("step ")[1].split()[:1]]
    assert steps == ["12", "20", "20", "40", "40"] and (tmp_path / "slow/model.safetensors").exists()
    assert all("far above the" in message for message in said)
    assert all("training.learning_rate is 1e-06, was 0.1" in message for message in said)


def test_a_loss_that_is_too_good_is_said_too(recorded, caplog, tmp_path):
    content = json.loads(recorded.read_text())
    for point in filter(None, sum(content["trainings"][0]["figures"].values(), [])):
        point["loss"] += 100.0
    (tmp_path / "high.json").write_text(json.dumps(content))
    said = warnings(caplog, tmp_path / "exp", normal_losses=str(tmp_path / "high.json"))
    assert len(said) == 6 and all("far below the" in message for message in said)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"width": 9}},
        {"labels": "exp/hubert layer 3, 8 clusters"},
        {"max_steps": 39},
        {"normal_losses": "absent.json"},
    ],
)
def test_other_models_labels_and_lengths_and_no_file_are_not_compared(recorded, caplog, tmp_path, changes):
    changes = {"normal_losses": str(recorded), "learning_rate": 1e-6, **changes}
    assert warnings(caplog, tmp_path / "exp", **changes) == []


def test_what_was_recorded_stays(recorded, tmp_path):
    before = recorded.read_text()
    arguments = ["--expdirs", str(recorded.with_name("exp") / "line"), "--normal-losses", str(recorded)]
    (tmp_path / "kept.json").write_text(before)
    record_trainings.main([*arguments, "--output", str(tmp_path / "trainings.json")])
    assert recorded.read_text() == before
    with pytest.raises(ValueError, match="no finished training with metrics.jsonl; train first"):
        record_trainings.main(["--expdirs", str(tmp_path / "exp"), "--output", str(tmp_path / "x.json")])


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"trainings": [{"settings": {}}]}', '{"trainings": 3}', "{"]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "normal.json").write_text(content)
    with pytest.raises(ValueError, match=r"normal\.json: .*remove it, and stage 7 writes it again"):
        run(tmp_path / "exp", normal_losses=str(tmp_path / "normal.json"))
