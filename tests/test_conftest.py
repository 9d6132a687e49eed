"""What all tests share does what it is for."""

import signal
import subprocess
import sys

from tests.conftest import pytest_configure

ASK = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"


def test_what_a_background_job_starts_can_be_interrupted():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts its background jobs
    try:
        pytest_configure(None)
        child = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.stdout == "False\n"
