"""A kill of every stage, by tests/kills.py: `pytest -m integration`. Its long form is in tests/README.md."""

import json
import subprocess
import sys

import pytest

from .checkout import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


def test_stages_that_are_killed_end_like_undisturbed_ones(tmp_path):
    output = tmp_path / "kills.json"
    command = [sys.executable, str(ROOT / "tests/kills.py"), "--kills", "8", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    trials = [trial for trial in json.loads(output.read_text())["trials"] if trial["in_time"]]
    assert sorted(trial["stage"] for trial in trials) == list(range(8))
    assert {"SIGKILL", "SIGINT", "SIGTERM"} <= {trial["kind"] for trial in trials}
    assert not [trial for trial in trials if trial["problems"]]
