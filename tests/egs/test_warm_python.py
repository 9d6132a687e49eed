"""The Python that starts fronts fast is, to what it runs and to what starts it, the real one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from .checkout import Checkout

pytestmark = pytest.mark.integration

# What a front may do: say how it was started, end in every way, wait.
PROBE = """
import atexit, os, sys, threading, time
atexit.register(print, "at exit")
what, *words = sys.argv[1:]
if what == "say":
    file = os.path.basename(sys.argv[0])
    print(file, words, os.getcwd(), os.environ["X"], "Y" in os.environ, sys.stdin.read(), __name__)
    print(sys.path[0], "on stderr", file=sys.stderr)
elif what == "imported":
    print("torch" in sys.modules)
elif what == "exit":
    sys.exit(words[0] if words[0].isalpha() else int(words[0]))
elif what == "fail":
    raise KeyError("it")
elif what == "thread":
    threading.Thread(target=lambda: (time.sleep(0.2), print("late"))).start()
elif what == "threads":
    import torch
    print(torch.get_num_threads())
elif what == "wait":
    print(os.getpid(), flush=True)
    time.sleep(60)
elif what == "die":
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def run(tmp_path, warm_python):
    """Runs the probe by the warm or the real Python."""
    package = tmp_path / "packages/soundstorm/bin"
    package.mkdir(parents=True)
    (package / "probe.py").write_text(PROBE)
    where = Checkout(tmp_path / "checkout", warm_python)

    def start(*words, warm=True, **variables):
        environment = {**where.environment(), "PYTHONPATH": str(tmp_path / "packages"), "X": "x", **variables}
        environment.pop("Y", None)
        python = str(warm_python[0] / "python3") if warm else sys.executable
        return subprocess.Popen(
            [python, "-m", "soundstorm.bin.probe", *words], cwd=tmp_path, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def result(*words, **more):
        done = start(*words, **more)
        out, err = done.communicate("given", timeout=60)
        return done.returncode, out, err

    result.start = start
    return result


@pytest.mark.parametrize(
    "words", [("say", "a b", ""), ("exit", "3"), ("exit", "0"), ("exit", "words"), ("thread",), ("die",)], ids=str
)
def test_a_front_is_started_and_ends_as_by_the_real_python(run, words):
    assert run(*words) == run(*words, warm=False)


def test_a_fault_has_its_traceback(run):
    status, _, error = run("fail")
    assert status == 1 and error.startswith("Traceback") and error.endswith("KeyError: 'it'\n")


def test_torch_is_there_already_unless_caches_lie_elsewhere(run, tmp_path):
    assert run("imported")[1].startswith("True")
    assert run("imported", HF_HOME=str(tmp_path))[1].startswith("False")
    assert run("threads", OMP_NUM_THREADS="3")[1].startswith("3\n")


def test_all_else_is_handed_to_the_real_python(warm_python):
    words = [str(warm_python[0] / "python3"), "-c", "import sys; print(sys.executable, 'torch' in sys.modules)"]
    assert subprocess.run(words, capture_output=True, text=True).stdout == f"{sys.executable} False\n"


def test_signals_reach_the_front_and_nothing_is_left(run):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = run.start("wait")
        front = int(process.stdout.readline())
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert process.returncode == -number and ("KeyboardInterrupt" in error) == (number == signal.SIGINT)
        for _ in range(100):
            if not os.path.exists(f"/proc/{front}"):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the front outlives signal {number}")
