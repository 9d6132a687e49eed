"""The shell utilities where the disk is full or Ctrl-C comes: a message, a failure, and old files as they were."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[2] / "utils"


@pytest.fixture
def data_dir(tmp_path):
    """A data directory that fixing changes: unsorted, with a transcript too many."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "utt2spk").write_text("b b\na a\n")
    (root / "spk2utt").write_text("b b\na a\n")
    (root / "wav.scp").write_text("b b.wav\na a.wav\n")
    (root / "text").write_text("b two words\na one more\nc nobody said this\n")
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


@pytest.mark.parametrize("script", ["fix_data_dir.sh {0}", "copy_data_dir.sh {0} {0}2", "combine_data.sh {0}2 {0}"])
def test_a_full_disk_leaves_the_old_files(data_dir, script):
    before = contents(data_dir)
    name, *arguments = script.format(data_dir).split()
    done = subprocess.run(
        [UTILS / name, *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
    )
    assert done.returncode == 1, done
    assert done.stderr.startswith(f"{name}: ") and "ile too large" in done.stderr and done.stderr.count("\n") == 1
    assert contents(data_dir) == before
    assert not [path for path in data_dir.parent.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("tool", ["filter_scp.py {0}/utt2spk {0}/text", "utt2spk_to_spk2utt.py {0}/utt2spk"])
def test_output_that_cannot_be_written_is_a_failure(data_dir, tool):
    name, *arguments = tool.format(data_dir).split()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, UTILS / name, *arguments], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode not in (0, None) and "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_ends_in_one_line_with_status_130(data_dir):
    before = contents(data_dir)
    (data_dir / "feats.scp").unlink(missing_ok=True)
    os.mkfifo(data_dir / "extra")
    command = [sys.executable, UTILS / "data_dir_tool.py", "subset_data_dir.sh", "--utt-list", data_dir / "extra"]
    with subprocess.Popen([*command, data_dir, f"{data_dir}2"], stderr=subprocess.PIPE, text=True) as tool:
        with open(data_dir / "extra", "w"):  # opens when the tool has begun to read
            time.sleep(0.2)
            tool.send_signal(signal.SIGINT)
            output = tool.stderr.read()
    assert tool.returncode == 130
    assert output == "subset_data_dir.sh: interrupted; nothing was left half done, run the same command again\n"
    (data_dir / "extra").unlink()
    assert contents(data_dir) == before and not Path(f"{data_dir}2").exists()
