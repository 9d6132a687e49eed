"""egs/dialogue from a manifest to its scores, at 24 kHz, with the smallest of models: `pytest -m integration`."""

import json
import re

import numpy as np
import pytest
import soundfile
import soxr

from .published import RATE, say, tiny_configs
from .readers import CONFIGS, OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.usefixtures("warm_python")]
RECIPE = "egs/dialogue"
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 4, "save_every": 4}
CODEC = {"sample_rate": 24000, "hop": 480, "n_fft": 1920}
SCRIPT = """A: where is the old letter
B: it is on the table near the window
A: thank you
B: you are welcome and please open the window
"""


def write_conversations(root, number=6, turns=4):
    """Recordings at 24 kHz, one of them at 16 kHz, and their manifest."""
    lines = []
    for conversation in range(number):
        pair, parts, spoken, at = (conversation % 5, conversation % 5 + 1), [], [], 0.0
        for turn in range(turns):
            wav, text = say(pair[turn % 2], 20 * conversation + turn)
            seconds = len(wav) / RATE
            spoken.append(
                {"speaker": f"v{pair[turn % 2]}", "start": round(at, 3), "end": round(at + seconds, 3), "text": text}
            )
            parts += [wav, np.zeros(RATE // 5)]
            at += seconds + 0.2
        rate = RATE if conversation == 2 else 24000
        path = root / f"talk{conversation}.flac"
        soundfile.write(path, soxr.resample(np.concatenate(parts), RATE, rate), rate)
        lines.append(json.dumps({"id": f"talk{conversation}", "audio": path.name, "turns": spoken}) + "\n")
    (root / "manifest.jsonl").write_text("".join(lines))
    return root / "manifest.jsonl"


def test_conversations_go_through_all_stages(checkout, tmp_path):
    (tmp_path / "talks").mkdir()
    manifest = write_conversations(tmp_path / "talks")
    (tmp_path / "chat.txt").write_text(SCRIPT)
    codec = {**CONFIGS["train_codec"], "model": {**CONFIGS["train_codec"]["model"], **CODEC}}
    tiny = tiny_configs(tmp_path / "tiny", {**CONFIGS, "train_codec": codec}, **TRAINING)
    command = [
        "./run.sh", *tiny, *OPTIONS, "--portion", "1", "--local-data-opts", f"--manifest {manifest}",
        "--systems", "codec soundstorm_prompted soundstorm_text", "--decode-args", "--text.max-seconds 3",
        "--dialogue-script", str(tmp_path / "chat.txt"),
        "--dialogue-args", "--max-characters 40 --context-seconds 6 --text.max-seconds 2", "--consistency", "none",
        "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.tiny.md",
    ]  # fmt: skip
    done = checkout.run(command, cwd=RECIPE, timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    recipe = checkout.root / RECIPE
    rows = json.loads((recipe / "exp/report/report.json").read_text())["sets"]["test"]["rows"]
    assert [row["system"] for row in rows] == [
        "Original", "Codec round trip", "SoundStorm from text", "SoundStorm (3 s prompt)",
    ]  # fmt: skip
    assert len((recipe / "exp/timing.tsv").read_text().splitlines()) == 8

    spoken = json.loads((recipe / "exp/soundstorm/dialogue/chat/dialogue.json").read_text())
    assert " | " in spoken["prompts"][0]["text"]  # of data/prompts
    # The last turn is longer than a pass.
    assert len(spoken["passes"]) == 5 and all(part["seconds"] > 0 for part in spoken["passes"])
    for name in ("dialogue/chat/dialogue.wav", "decode_soundstorm_text/test/wav"):
        path = recipe / "exp/soundstorm" / name
        assert soundfile.info(path if path.is_file() else next(path.iterdir())).samplerate == 24000

    page = (recipe / "exp/report/index.html").read_text()
    assert re.findall("<h2>(.*)</h2>", page)[0] == "Dialogue: chat"
    assert page.count("<li><b>A</b>") == 2 and page.count("<li><b>B</b>") == 2
    assert page.count("<li>") >= 4  # turns of the test chunks
    again = checkout.run(command, cwd=RECIPE, timeout=100)
    assert again.stdout.count("complete, nothing to do") == 8
