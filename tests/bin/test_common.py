"""Options from dataclasses and YAML: types kept, unknown keys refused with the nearest valid one."""

import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.data.errors import InputError, TrainingFailed


@dataclass(frozen=True)
class Model:
    width: int = field(default=8, metadata={"help": "model width"})
    rate: float = 0.5
    causal: bool = False
    strides: tuple[int, ...] = (2, 4)
    limit: int | None = None
    name: str = "x"


def parse(arguments, tmp_path=None, text=None):
    parser = config_parser("test", {"model": Model})
    parser.add_argument("--expdir")
    if text is not None:
        (tmp_path / "c.yaml").write_text(text)
        arguments = ["--config", str(tmp_path / "c.yaml"), *arguments]
    return section(parser.parse_args(arguments), "model", Model)


def test_defaults_yaml_and_command_line_in_rising_order(tmp_path):
    text = "model:\n  width: 16\n  rate: 1.0e-3\n  causal: true\n  strides: [2, 4, 5, 8]\n  limit: null\n"
    assert parse([], tmp_path, text) == Model(16, 0.001, True, (2, 4, 5, 8), None)
    given = parse(["--model.width", "32", "--model.limit", "1e6", "--model.strides", "3"], tmp_path, text)
    assert given == Model(32, 0.001, True, (3,), 1000000)


@pytest.mark.parametrize(
    "arguments, text, message",
    [
        (["--model.widht", "3"], None, "unknown option or configuration key 'model.widht'; did you mean 'model.width'"),
        ([], "model:\n  widht: 3\n", "unknown option or configuration key 'model.widht'; did you mean 'model.width'"),
        ([], "batch: 3\n", "unknown option or configuration key 'batch'"),
        (["--model.width", "wide"], None, "model.width: expected int, got 'wide'"),
        ([], "model:\n  causal: maybe\n", "model.causal: expected bool, got 'maybe'"),
        ([], "model: [1, 2\n", "not YAML"),
        ([], "- 1\n", "expected 'section: field: value'"),
    ],
)
def test_wrong_settings_are_refused_with_a_reason(tmp_path, capsys, arguments, text, message):
    with pytest.raises(SystemExit) as exit_:
        parse(arguments, tmp_path, text)
    assert exit_.value.code not in (0, None)
    assert message in capsys.readouterr().err


def test_the_output_of_no_command_is_what_another_option_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("model:\n  width: 3\n")
    parser = config_parser("test", {"model": Model})
    parser.add_argument("--output", nargs="+")
    with pytest.raises(InputError, match="--output would write over c.yaml, which --config reads; give another"):
        parser.parse_args(["--config", "c.yaml", "--output", "a", str(tmp_path / "c.yaml")])
    parser.parse_args(["--config", "c.yaml", "--output", "a", str(tmp_path)])


def test_a_users_mistake_ends_in_one_line_and_status_1(tmp_path):
    command = [sys.executable, "-m", "soundstorm.bin.train_soundstorm", "--training.batch_size", "4"]
    places = ["--train-data", str(tmp_path / "none"), "--valid-data", str(tmp_path), "--expdir", str(tmp_path / "e")]
    done = subprocess.run(command + places, capture_output=True, text=True)
    assert done.returncode == 1
    assert "none/semantic" in done.stderr and "Traceback" not in done.stderr


def run_and_end(capsys, monkeypatch, error):
    """What a front that raises this prints, and its exit status."""

    def main(argv):
        raise error

    monkeypatch.setattr(sys, "argv", ["front"])
    with pytest.raises(SystemExit) as end:
        run_front(main)
    return end.value.code, capsys.readouterr().err.splitlines()


def test_what_a_user_can_mend_is_one_line(capsys, monkeypatch):
    for error in (InputError("x.txt: wrong"), TrainingFailed("x.txt: wrong"), OSError("x.txt: wrong")):
        assert run_and_end(capsys, monkeypatch, error) == (1, ["front: error: x.txt: wrong"])


def test_a_fault_of_the_program_keeps_its_traceback_and_says_what_it_is(capsys, monkeypatch):
    for error in (ValueError("shapes"), RuntimeError("shapes"), KeyError("shapes")):
        status, lines = run_and_end(capsys, monkeypatch, error)
        assert status == 1 and lines[0].startswith("Traceback") and "in main" in "".join(lines)
        assert lines[-1].startswith(f"front: error: {type(error).__name__}: ") and "a fault of the program" in lines[-1]
