"""The benchmark program on tiny models: does it count right, take turns, and say what it could not do?"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import benchmark  # noqa: E402
import counting  # noqa: E402
import ours  # noqa: E402
import tables  # noqa: E402
from sizes import OURS, PEER, Sizes, Work  # noqa: E402

TINY = {"width": 32, "layers": 1, "heads": 2, "inner": 64, "levels": 3, "codebook": 16, "semantic": 10, "iterations": 4}
SIZES = Sizes(**TINY, codec_width=32, hubert_width=48)


def studied(part, seconds=0.4, **options):
    run, network, _ = ours.build(Work(part, seconds, sizes=SIZES, **options))
    return counting.study(run, network)


@pytest.mark.parametrize("part, passes", [("train", 1), ("decode", 6), ("codec_encode", 1), ("codec_decode", 1)])
def test_every_part_runs_and_its_passes_are_counted(part, passes):
    found = studied(part)
    assert found["passes"] == passes and found["flops"] > 0
    assert sum(found["shares"].values()) == pytest.approx(1.0)


def test_one_pass_for_every_token_of_the_autoregressive_parts():
    assert studied("text_to_semantic", 0.1)["passes"] == 5
    assert studied("audiolm", 0.1)["passes"] == 15  # of 5 frames: all tokens of both stages


def test_recordings_are_tokenised_one_by_one():
    assert studied("semantic", batch=2)["passes"] == 2


def test_operations_are_those_of_the_formula():
    run = torch.nn.Linear(8, 16)
    found = counting.study(lambda: run(torch.zeros(3, 8)), run)
    assert found["flops"] == 2 * 3 * 8 * 16


@pytest.mark.parametrize(
    "name, kind",
    [("aten::addmm", "matrix products"), ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
     ("aten::native_layer_norm", "normalisation"), ("aten::_softmax", "softmax and choice"), ("what", "other")],
)  # fmt: skip
def test_operations_are_sorted_by_kind(name, kind):
    assert counting.kind_of(name) == kind


def test_the_roofline_is_the_larger_of_the_two_limits():
    rates = {"no": 100.0, "bf16": 200.0, "bandwidth": 10.0}
    entry = {"work": Work("decode", 1.0).as_dict(), "flops": 400.0, "passes": 3, "parameters": 1}
    assert tables.roofline(entry, rates) == 4.0
    assert tables.roofline(entry | {"parameters": 100}, rates) == 4 * 100 * 3 / 10.0
    assert tables.roofline({"work": entry["work"]}, rates) is None


def test_the_peak_of_memory_is_that_of_the_run():
    if not counting.resident_bytes():
        pytest.skip("this system does not tell the memory of a process")
    # In a process of its own: other tests' allocators and threads give and take memory when they like.
    program = f"""
import mmap, sys
sys.path.insert(0, {str(HERE)!r})
import counting
before = counting.resident_bytes()
counting.forget_peak()
with mmap.mmap(-1, 64 * 1024 * 1024) as pages:
    pages.write(b"x" * len(pages))
print(counting.peak_bytes() - before)
counting.forget_peak()
print(counting.peak_bytes() - before)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    during, after = map(int, ran.stdout.split())
    assert during > 60 * 1024 * 1024
    assert after < 4 * 1024 * 1024


def test_sides_take_turns_and_ratios_are_those_of_rounds(monkeypatch):
    asked = []

    class Scripted(benchmark.Worker):
        """Answers from a list instead of a process."""

        def __init__(self, python, threads):
            self.python, self.seconds = python, iter([1.0, 2.0, 4.0] if python == "theirs" else [0.5, 0.5, 0.5])

        def ask(self, **command):
            asked.append((self.python, command["do"]))
            seconds = next(self.seconds) if command["do"] == "run" else None
            return {"parameters": 1, "peak_bytes": 200 if self.python == "theirs" else 100, "seconds": seconds}

        def close(self):
            asked.append((self.python, "close"))

    monkeypatch.setattr(benchmark, "Worker", Scripted)
    arguments = ["--peer-python", "theirs", "--repeats", "3", "--no-study", "--parts", "train", "--precisions", "no"]
    args = benchmark.get_parser().parse_args(arguments + ["--peer-styles", "plain"])
    (group,) = benchmark.plan(args)
    assert [work.side for work in group] == [OURS, PEER]
    mine, theirs = benchmark.measure(group, args)
    assert mine["faster_than_peer"] == 4.0 and mine["memory_of_peer"] == 0.5
    assert "faster_than_peer" not in theirs
    assert [python for python, do in asked if do == "run"] == [sys.executable, "theirs"] * 3
    assert asked[-2:] == [(sys.executable, "close"), ("theirs", "close")]


@pytest.mark.integration
def test_the_command_writes_json_and_a_table(tmp_path):
    output = tmp_path / "speed.json"
    command = [sys.executable, HERE / "benchmark.py", "--parts", "decode", "--lengths", "0.4", "--batches", "1"]
    command += ["--precisions", "no", "--peer-styles", "plain", "--repeats", "2", "--sizes", json.dumps(TINY)]
    done = subprocess.run([*command, "--output", output], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    (entry,) = content["entries"]
    assert entry["passes"] == 6 and len(entry["rounds"]) == 2 and content["conditions"]["rates"]["no"] > 0
    assert output.with_suffix(".md").read_text().strip() == done.stdout.strip()
    assert "| decode | 0.4 | 1 | fp32, plain |" in done.stdout


@pytest.mark.integration
def test_a_peer_that_is_not_installed_is_told():
    worker = benchmark.Worker(sys.executable, 1)
    with pytest.raises(RuntimeError, match="soundstorm_pytorch"):
        worker.ask(do="build", work=Work("decode", 0.4, sizes=SIZES, side=PEER).as_dict())
    worker.close()
