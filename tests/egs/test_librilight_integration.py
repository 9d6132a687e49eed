"""egs/librilight from its published layouts to its scores, with the smallest of models: `pytest -m integration`."""

import json
from pathlib import Path

import pytest
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from soundstorm.data.archive import TokenArchive

from .published import tiny_configs, write_librilight, write_librispeech
from .readers import CONFIGS, OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.usefixtures("warm_python")]
RECIPE = "egs/librilight"
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 4, "save_every": 4}


def test_librilight_goes_through_all_stages(checkout, tmp_path):
    light, speech = tmp_path / "light", tmp_path / "speech"
    write_librilight(light, {"14": 0, "1401": 1})
    write_librilight(light, {"14": 0, "960": 2}, subset="medium")  # a speaker's files once more
    write_librispeech(speech, "test-clean", {"61": 3})
    write_librispeech(speech, "train-clean-100", {"103": 4}, sentences=4)
    write_librispeech(speech, "dev-clean", {"84": 5})
    data = f"--librilight {light} --librispeech {speech} --dev-speakers 1 --text-parts train-clean-100"
    command = [
        "./run.sh", *tiny_configs(tmp_path / "tiny", CONFIGS, **TRAINING), *OPTIONS, "--portion", "1",
        "--local-data-opts", data, "--text-train-set", "train_text", "--text-valid-set", "dev_text",
        "--systems", "codec soundstorm_prompted soundstorm_text", "--audiolm-stages", "semantic", "--figures", "",
        "--decode-args", "--text.max-seconds 4", "--speaker-model", "none", "--consistency", "none",
        "--detector", "none", "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.tiny.md",
    ]  # fmt: skip
    done = checkout.run(command, cwd=RECIPE, timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    recipe = checkout.root / RECIPE
    report = json.loads((recipe / "exp/report/report.json").read_text())
    assert list(report["sets"]) == ["test_clean"]
    rows = {row["system"]: row["metrics"] for row in report["sets"]["test_clean"]["rows"]}
    assert set(rows) == {"Original", "Codec round trip", "SoundStorm (3 s prompt)", "SoundStorm from text"}
    assert set(rows["Original"]["wer"]) == {"all", "short"}  # the paper's columns, of those that there are
    assert "| SoundStorm (3 s prompt) |" in (recipe / "RESULTS.tiny.md").read_text()
    assert len((recipe / "exp/timing.tsv").read_text().splitlines()) == 8
    assert (recipe / "data/train_text/semantic.scp").exists()
    assert not (recipe / "data/train_text/acoustic.scp").exists()  # nothing asks for these
    again = checkout.run(command, cwd=RECIPE, timeout=100)
    assert again.stdout.count("complete, nothing to do") == 8


def test_w2v_bert_s_tokens_go_through_the_stages_at_half_the_codec_s_rate(checkout, tmp_path, monkeypatch):
    light, speech, model = tmp_path / "light", tmp_path / "speech", tmp_path / "w2v"
    write_librilight(light, {"14": 0, "960": 1})
    write_librispeech(speech, "test-clean", {"61": 3})
    sizes = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    Wav2Vec2BertModel(Wav2Vec2BertConfig(feature_projection_input_dim=160, **sizes)).save_pretrained(model)
    command = [
        "./run_w2v_bert.sh", *tiny_configs(tmp_path / "tiny", CONFIGS, **TRAINING), "--ssl-model", f"w2v-bert:{model}",
        "--semantic-layer", "1", "--semantic-clusters", "16", "--portion", "1", "--train-threads", "1", "--nj", "2",
        "--local-data-opts", f"--librilight {light} --librispeech {speech} --dev-speakers 1",
        "--systems", "soundstorm_prompted", "--acoustic-models", "soundstorm", "--stop-stage", "6",
    ]  # fmt: skip
    done = checkout.run(command, cwd=RECIPE, timeout=600)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    monkeypatch.chdir(checkout.root / RECIPE)
    semantic, acoustic = (TokenArchive(f"data/test_clean/{kind}.scp") for kind in ("semantic", "acoustic"))
    assert semantic.info.frame_rate == 25 and acoustic.info.frame_rate == 50
    assert all(abs(len(acoustic[utt]) - 2 * len(semantic[utt])) <= 2 for utt in acoustic.ids)
    decoded = Path("exp/soundstorm_w2v_bert").glob("decode*_soundstorm_prompted/test_clean/acoustic.scp")
    made = TokenArchive(next(decoded))
    assert len(made) == 2 and all(len(made[utt]) == 2 * len(semantic[utt]) for utt in made.ids)
