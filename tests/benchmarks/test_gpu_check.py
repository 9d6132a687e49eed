"""The check of a GPU on the CPU: does every part run, and is what it says kept?"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import gpu_check  # noqa: E402


@pytest.mark.integration  # minutes
def test_the_whole_check_runs_at_toy_size(tmp_path):
    output = tmp_path / "check.json"
    command = [ROOT / "tools/gpu_check.sh", "--dry", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(output.read_text())
    statuses = {name: part["status"] for name, part in content["parts"].items()}
    assert statuses == {"tests": "done", "speed": "done"}
    entries = content["speed"]["entries"]
    found = {(entry["work"]["part"], entry["work"]["compiled"]) for entry in entries}
    assert found == {(part, how) for part in ("train", "decode") for how in ("", "blocks")}
    assert all(entry["flops"] > 0 and entry["peak_bytes"] >= 0 for entry in entries)
    assert "| tests | done |" in done.stdout
    assert "| train | 0.4 | 2 | fp32, default, compiled |" in done.stdout


def test_the_real_check_stays_under_eight_minutes_and_tries_graphs_and_the_recipe(tmp_path):
    assert sum(gpu_check.LIMITS.values()) < 480
    commands = gpu_check.commands(False, tmp_path / "speed.json")
    assert commands.keys() == gpu_check.LIMITS.keys()
    assert {"graphs", "cuda"} < set(commands["speed"]) and "--ngpu" in commands["recipe"]
    assert (ROOT / commands["recipe"][0]).is_file()


def test_a_part_that_fails_or_takes_too_long_is_told():
    slow = gpu_check.run_part([sys.executable, "-c", "import time; time.sleep(60)"], 1)
    assert slow["status"] == "not finished after 1 s" and slow["seconds"] < 30
    failed = gpu_check.run_part([sys.executable, "-c", "print('why'); exit(3)"], 60)
    assert (failed["status"], failed["end"]) == ("failed with status 3", ["why"])
