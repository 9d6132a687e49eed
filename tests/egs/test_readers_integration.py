"""A corpus of another shape through all stages, with the smallest of models: `pytest -m integration`."""

import json
import shutil
import sys

import numpy as np
import pytest
import soundfile
import yaml

from soundstorm.data.archive import TokenArchive

from .readers import OPTIONS, add_unigram, follow_readme, write_configs, write_corpus

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.usefixtures("warm_python")]
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 2, "save_every": 2}


SPEAR_TTS = [
    "--text-train-set", "dev", "--text-to-semantic-pretrain", "conf/pretrain_text_to_semantic.yaml",
    "--back-translation", "conf/train_semantic_to_text.yaml", "--transcribe-args", "--transcribe.temperature 3",
]  # fmt: skip


def test_a_second_iteration_of_hubert_learns_clusters_of_the_first(checkout, readers):
    """After a run of one iteration, which it takes as it is."""
    recipe = checkout.root / "egs/readers"
    shutil.copytree(readers / "checkout/egs/readers", recipe, symlinks=True)
    write_configs(recipe, **TRAINING)
    with open(recipe / "data/dev/phones.ctm", "w") as ctm:
        for line in (recipe / "data/dev/utt2spk").read_text().splitlines():
            ctm.write(f"{line.split()[0]} 1 0.00 0.50 a\n{line.split()[0]} 1 0.50 0.50 b\n")
    command = ["./run.sh", *OPTIONS, "--stage", "1", "--stop-stage", "1"]
    second = ["--hubert-iterations", "2", "--hubert-target-layer", "2", "--hubert-target-clusters", "12"]
    second += ["--hubert-next-args", "--training.max-steps 6"]
    wrong = checkout.run([*command, "--hubert-iterations", "2"], cwd="egs/readers", timeout=300)
    assert wrong.returncode == 1 and "clusters of layer 6 of this HuBERT, which will have layers 0 to 2" in wrong.stderr

    def run(*options):
        done = checkout.run([*command, *options], cwd="egs/readers", timeout=300)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    assert "HuBERT pre-training: exp/hubert\n" in run()
    first = (recipe / "exp/hubert/hubert/model.safetensors").stat().st_mtime_ns
    shown = run(*second)
    targets, third = "exp/kmeans_hubert_l2_k12", "exp/kmeans_hubert_it2_l1_k16"
    assert f"k-means on exp/hubert/hubert: {targets}\n" in shown
    assert "HuBERT pre-training: exp/hubert_it2\n" in shown
    assert f"| {targets} |" in shown  # its tokens beside the last ones'
    assert "HuBERT pre-training: exp/hubert\n" not in shown
    assert (recipe / "exp/hubert/hubert/model.safetensors").stat().st_mtime_ns == first
    config = yaml.safe_load((recipe / "exp/hubert_it2/config.yaml").read_text())
    assert config["labels"]["codebook_size"] == 12 and config["training"]["max_steps"] == 6
    assert json.loads((recipe / third / "kmeans.json").read_text())["features"] == "exp/hubert_it2/hubert"
    assert "Stage 1: complete, nothing to do" in run(*second)


def test_tokens_come_from_a_recogniser_of_the_transcripts(checkout, readers, monkeypatch):
    """Beside those of HuBERT, which they replace; the recogniser of the scores is another one."""
    recipe = checkout.root / "egs/readers"
    shutil.copytree(readers / "checkout/egs/readers", recipe, symlinks=True)
    write_configs(recipe, **TRAINING)
    options = [*OPTIONS, "--ssl-model", "recognizer", "--stage", "1", "--stop-stage", "1"]

    def run(*more):
        done = checkout.run(["./run.sh", *options, *more], cwd="egs/readers", timeout=300)
        return done.returncode, done.stdout + done.stderr

    status, told = run()
    assert status == 0, told[-3000:]
    assert "recogniser for tokens: exp/token_recognizer\n" in told
    described = json.loads((recipe / "exp/kmeans_token_recognizer_l1_k16/kmeans.json").read_text())
    assert described["features"] == "recognizer:exp/token_recognizer"
    durations = dict(line.split() for line in (recipe / "data/dev/utt2dur").read_text().splitlines())
    monkeypatch.chdir(recipe)
    tokens = TokenArchive("data/dev/semantic.scp")
    assert tokens.info.frame_rate == 50 and set(tokens.ids) == set(durations)
    assert all(len(tokens[utt]) == int(float(durations[utt]) * 50) for utt in durations)
    assert "Stage 1: complete, nothing to do" in run()[1]


def write_pairs(folder):
    """Two recordings of noise, one of which is right."""
    folder.mkdir()
    for name in ("right", "wrong"):
        soundfile.write(folder / f"{name}.wav", np.random.default_rng(len(name)).uniform(-0.1, 0.1, 16000), 16000)
    lines = ["id,filename,voice,type,correct", "1,right,a,order,1", "1,wrong,a,order,0"]
    (folder / "gold.csv").write_text("\n".join(lines) + "\n")


def test_the_readme_s_corpus_goes_through_all_stages(checkout, tmp_path):
    write_corpus(tmp_path / "readers", seconds=4.5, chapters=4)
    follow_readme(checkout, tmp_path / "readers")
    recipe = checkout.root / "egs/readers"
    write_configs(recipe, **TRAINING)
    write_pairs(recipe / "pairs")
    options = [
        *OPTIONS,
        "--systems", "codec soundstorm_prompted soundstorm_text audiolm audiolm_prompted",
        "--acoustic-models", "soundstorm audiolm", "--audiolm-stages", "semantic coarse fine", "--prompt-seconds", "2",
        "--likelihood-pairs", "pairs/gold.csv",
        "--decode-args", "--audiolm.overlap-seconds 2",
        "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.md",
    ]  # fmt: skip
    done = checkout.run(["./run.sh", *options], cwd="egs/readers", timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe / "RESULTS.md").read_text()
    assert "| SoundStorm (2 s prompt) |" in results and "| `pairs/gold.csv` | order |" in results
    assert "| SoundStorm (2 s prompt) : AudioLM (2 s prompt) |" in results
    assert "--likelihood-pairs pairs/gold.csv" in results  # the command
    assert (recipe / "exp/report/index.html").exists()
    assert len((recipe / "exp/timing.tsv").read_text().splitlines()) == 8

    # With few transcripts: those of one set, pre-training and texts that a model writes for the other.
    command = ["./run.sh", *options, *SPEAR_TTS, "--stage", "5", "--stop-stage", "5"]
    done = checkout.run(command, cwd="egs/readers", timeout=400)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert (recipe / "exp/text_to_semantic_pretrained_back_translated/free_running.json").exists()
    texts = (recipe / "exp/train_semantic_to_text_dev/data/text").read_text().splitlines()
    assert len([line for line in texts if line.endswith(" The sea says carl")]) == 4
    assert {line.split("-")[0] for line in texts} <= {"anna", "bert", "carl"} and len(texts) > 4
    done = checkout.run(command, cwd="egs/readers", timeout=100)
    assert "Stage 5: complete, nothing to do" in done.stdout
    add_an_acoustic_model(checkout, recipe, options)
    speak_without_tokens(checkout, recipe, options)
    speak_from_a_pack(checkout, recipe)


def speak_without_tokens(checkout, recipe, options):
    """Tacotron 2 is trained, speaks with both vocoders, is scored, and the report has its alignments."""
    more = ["--acoustic-models", "soundstorm tacotron2", "--likelihood-pairs", "", "--results", "FOURTH.md"]
    more += ["--systems", "codec soundstorm_prompted tacotron2 tacotron2_griffin_lim_prompted", "--stage", "4"]
    # Untrained, it would stop anywhere.
    more += ["--decode-args", "--tacotron2.max_seconds 1 --tacotron2.stop_threshold 0.99"]
    done = checkout.run(["./run.sh", *options, *more], cwd="egs/readers", timeout=400)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe / "FOURTH.md").read_text()
    for row in ("| Tacotron 2, WaveNet from text |", "| Tacotron 2, Griffin-Lim from text (2 s prompt) |"):
        assert row in results
    assert "## Alignments of text and speech" in results
    assert (recipe / "exp/tacotron2/alignments.png").exists()

    # By itself, of sets that have no tokens.
    for name in ("train", "dev", "test"):
        tokens = shutil.ignore_patterns("semantic*", "acoustic*")
        shutil.copytree(recipe / "data" / name, recipe / "data_text" / name, ignore=tokens)
    more = ["--datadir", "data_text", "--acoustic-models", "tacotron2", "--results", "FIFTH.md"]
    more += ["--systems", "tacotron2_griffin_lim", "--decode-tag", "alone", "--consistency", "none"]
    more += ["--likelihood-pairs", ""]
    more += ["--decode-args", "--tacotron2.max_seconds 1 --tacotron2.stop_threshold 0.99"]
    done = checkout.run(["./run.sh", *options, *more], cwd="egs/readers", timeout=400)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Stage 1" not in done.stdout and "Stage 4: complete, nothing to do" in done.stdout
    assert "| Tacotron 2, Griffin-Lim from text |" in (recipe / "FIFTH.md").read_text()


def add_an_acoustic_model(checkout, recipe, options):
    """CONTRIBUTING's walk: a third kind of model is trained, decoded, timed, scored, reported and packed."""
    assert add_unigram(checkout) <= 2
    assert "--unigram-config" in checkout.run(["./run.sh", "--help"], cwd="egs/readers").stdout
    more = ["--acoustic-models", "soundstorm unigram", "--likelihood-pairs", "", "--figures", "runtime"]
    more += ["--systems", "codec soundstorm_prompted unigram_prompted unigram_text", "--results", "THIRD.md"]
    more += ["--runtime-args", "--lengths 1 --repeats 1", "--stage", "4"]
    done = checkout.run(["./run.sh", *options, *more], cwd="egs/readers", timeout=400)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe / "THIRD.md").read_text()
    ratio = "| SoundStorm (2 s prompt) : Unigram (2 s prompt) |"
    for row in ("| Unigram (2 s prompt) |", "| Unigram from text |", ratio):
        assert row in results
    assert "| codec decoding | SoundStorm | Unigram | text to semantic | Unigram : SoundStorm |" in results
    words = "--acoustic-model exp/soundstorm --acoustic-model exp/unigram --codec exp/codec --output packs/third"
    ours = {"cwd": "egs/readers", "timeout": 200, "PYTHONPATH": str(checkout.root)}
    done = checkout.run([sys.executable, "-m", "soundstorm.bin.pack_model", *words.split()], **ours)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "--acoustic-model unigram:PACK" in (recipe / "packs/third/README.md").read_text()
    command = [sys.executable, "-m", "soundstorm.bin.synthesize", "--data-dir", "data/test", "--codec", "packs/third"]
    command += ["--acoustic-model", "unigram:packs/third", "--output", "from_pack"]
    done = checkout.run(command, **ours)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (recipe / "from_pack/wav.scp").exists()


def speak_from_a_pack(checkout, recipe):
    """The models in a pack, the experiments gone: the same tokens, and no training."""
    parts = {"acoustic-model": "soundstorm", "text-to-semantic": "text_to_semantic", "codec": "codec"}
    options = [word for option, part in parts.items() for word in (f"--{option}", f"exp/{part}")]
    kmeans = next(path for path in recipe.glob("exp/kmeans_hubert_*"))
    options += ["--kmeans", f"exp/{kmeans.name}", "--results", "RESULTS.md", "--output", "packs/readers"]
    done = checkout.run(["utils/pack_model.sh", *options], cwd="egs/readers", timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (recipe / "exp").rename(recipe / "old")
    names = ("hubert", "semantic", "codec", "soundstorm", "text-to-semantic")
    options = [*OPTIONS, *(word for name in names for word in (f"--{name}-exp", "packs/readers"))]
    options += ["--stage", "4", "--stop-stage", "6", "--systems", "soundstorm_text"]
    done = checkout.run(["./run.sh", *options], cwd="egs/readers", timeout=300)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Stage 4: complete" in done.stdout and "Stage 5: complete" in done.stdout
    speech = "decode_soundstorm_text/test/acoustic.ark"
    made, expected = (recipe / folder / speech for folder in ("exp/soundstorm_readers", "old/soundstorm"))
    assert made.read_bytes() == expected.read_bytes()
