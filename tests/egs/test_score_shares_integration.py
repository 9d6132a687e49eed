"""Stage 7 spreads a system's utterances over the jobs where there are more jobs than systems."""

import json

import numpy as np
import pytest

from soundstorm.bin import score
from soundstorm.data.archive import TokenizerInfo, write_tokens
from soundstorm.data.audio import write_audio

pytestmark = pytest.mark.integration
COUNT = 150  # more than the hundred of one share
OPTIONS = (
    "--stage 7 --stop-stage 7 --nj 3 --systems codec --test-sets test --codec-exp exp/codec --speaker-model none "
    "--consistency none --decode-tag x --pack false"
)
EMPTY = ("--recognizer", "--results", "--figures", "--dialogue-script", "--dialogue-prompts")
ARGS = ["--speaker", "none", "--score.quality-utterances", "0"]


@pytest.fixture
def recipe(checkout, monkeypatch):
    """A recipe that has decoded a test set: segments of one recording."""
    root = checkout.root / "egs/mini"
    monkeypatch.chdir(root)
    rng = np.random.default_rng(0)
    for folder, noise in (("data/test", 0.0), ("exp/soundstorm/decode_x_codec/test", 0.1)):
        wav = np.random.default_rng(1).normal(size=16000 * COUNT // 2) * 0.1
        write_audio(root / folder / "all.wav", wav + noise * rng.normal(size=len(wav)), 16000)
        (root / folder / "wav.scp").write_text(f"all {root / folder}/all.wav\n")
        names = [f"s{number % 9}-{number:03d}" for number in range(COUNT)]
        lines = [f"{name} all {0.5 * n:.1f} {0.5 * n + 0.5:.1f}\n" for n, name in enumerate(names)]
        (root / folder / "segments").write_text("".join(sorted(lines)))
        (root / folder / "utt2spk").write_text("".join(sorted(f"{name} {name[:2]}\n" for name in names)))
    (root / folder / "decode.json").write_text(json.dumps({"from": "codec", "title": "Codec round trip"}))
    (root / "data/train").mkdir()
    info = TokenizerInfo("acoustic", "random", "1" * 64, 50.0, 2, 16, 16000)
    write_tokens("data/train/acoustic", [("u-1", np.zeros((50, 2), int))], info)
    return checkout


def test_shares_of_a_system_are_what_one_process_measures(recipe):
    command = ["./run.sh", *OPTIONS.split(), "--score-args", " ".join(ARGS[2:])]
    command += [word for option in EMPTY for word in (option, "")]
    done = recipe.run(command, cwd="egs/mini", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = recipe.root / "egs/mini/exp/soundstorm/score_x"
    for system in ("original", "codec"):
        for number in (1, 2):
            assert f"--share {number}/2" in (folder / f"log/test_{system}.2.{number}.log").read_text()
    assert sorted(path.name for path in (folder / "test").iterdir()) == ["codec.json", "original.json"]
    decoded = "exp/soundstorm/decode_x_codec/test"
    score.main(["--data-dir", "data/test", "--decode-dir", decoded, *ARGS, "--output", "whole.json"])
    shared = json.loads((folder / "test/codec.json").read_text())
    whole = json.loads((recipe.root / "egs/mini/whole.json").read_text())
    assert whole["num_utterances"] == COUNT and whole["metrics"] == shared["metrics"]
