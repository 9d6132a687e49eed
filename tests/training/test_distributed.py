"""One process equals two on the same global batches, shared unequally (5 utterances a step)."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from soundstorm.training.checkpoint import load_tensors

WORKER = Path(__file__).with_name("ddp_worker.py")


def load_worker():
    spec = importlib.util.spec_from_file_location("ddp_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_equal_one(tmp_path):
    worker = load_worker()
    worker.write_data(tmp_path)
    worker.main(tmp_path, tmp_path / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(WORKER)]
    root = str(WORKER.parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    arguments = [str(tmp_path), str(tmp_path / "two")]
    done = subprocess.run(command + arguments, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "two/checkpoints/step-00000006/rng.1.safetensors").exists()  # there really were two
    one, two = (load_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for key in one:
        torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    lines = [
        [json.loads(x) for x in (tmp_path / name / "metrics.jsonl").read_text().splitlines()] for name in ("one", "two")
    ]
    for a, b in zip(*lines, strict=True):
        assert a.keys() == b.keys()
        for key in [k for k in a if k.startswith(("loss", "accuracy"))]:
            assert abs(a[key] - b[key]) < 1e-3, key
