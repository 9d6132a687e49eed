"""Stages 1 and 3 are complete when the archives are there and whole, not when a table names them."""

import json
import os
import shutil

import numpy as np
import pytest

from soundstorm.bin import train_kmeans
from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_table
from tests.tokens.test_acoustic import tiny_dac, write_experiment

SETS = ("train", "dev", "test")
INFO = {
    "semantic": TokenizerInfo("semantic", "random", "0" * 64, 50.0, 1, 16, 16000),
    "acoustic": TokenizerInfo("acoustic", "random", "1" * 64, 50.0, 2, 16, 16000),
}


@pytest.fixture
def recipe(checkout, monkeypatch):
    """A recipe that has done stages 1 to 3, with models that are no more than files."""
    root = checkout.root / "egs/mini"
    monkeypatch.chdir(root)
    for name in ("hubert/hubert/model", "kmeans_hubert_l1_k8/centroids", "codec/model"):
        path = root / f"exp/{name}.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
    for name in SETS:
        data = root / "data" / name
        data.mkdir(parents=True)
        for table, value in (("utt2spk", "u"), ("wav.scp", "/x.wav"), ("utt2dur", "1")):
            write_table(data / table, {"u-1": value})
        for kind, archive in (("semantic", "semantic_hubert_l1_k8"), ("acoustic", "acoustic_codec")):
            shape = (50,) if kind == "semantic" else (50, 2)
            write_tokens(f"dump/{archive}/{name}/{kind}.1", [("u-1", np.zeros(shape, int))], INFO[kind])
            for suffix in ("scp", "json"):
                content = (root / f"dump/{archive}/{name}/{kind}.1.{suffix}").read_text()
                (data / f"{kind}.{suffix}").write_text(content)
    return checkout


def run(recipe, *more):
    options = "--stage 1 --stop-stage 3 --test-sets test --ssl-model exp/hubert/hubert --codec-exp exp/codec"
    options += " --semantic-tag hubert_l1_k8 --semantic-exp exp/kmeans_hubert_l1_k8"
    return recipe.run(["./run.sh", *options.split(), *more], cwd="egs/mini", timeout=300)


@pytest.mark.parametrize(
    "damage", ["none", pytest.param("gone", marks=pytest.mark.integration), "cut", "made of other audio"]
)
def test_stages_with_whole_archives_have_nothing_to_do(recipe, damage):
    archive = recipe.root / "egs/mini/dump/semantic_hubert_l1_k8/dev/semantic.1.ark"
    if damage == "gone":
        archive.unlink()
    elif damage == "cut":
        archive.write_bytes(archive.read_bytes()[:-1])
    elif damage == "made of other audio":
        write_table(archive.with_suffix(".sources"), {"u-1": "0.5 nan 32044"})
    done = run(recipe)
    if damage == "none":
        assert (done.returncode, done.stdout.count("complete, nothing to do")) == (0, 3), done.stdout + done.stderr
    else:  # it begins to make them again, for which it needs the real model
        assert "semantic tokens of dev" in done.stdout and "tokens of train" not in done.stdout
        assert done.returncode == 1 and "kmeans.json: no such file" in done.stderr


def test_a_ready_codec_of_another_rate_is_refused_before_there_are_semantic_tokens(recipe, tmp_path):
    model, config, _ = tiny_dac(tmp_path)
    config.sampling_rate = 24000
    model(config).save_pretrained(tmp_path / "dac")
    (recipe.root / "egs/mini/data/train/semantic.scp").unlink()
    write_table(recipe.root / "egs/mini/data/test/utt2rate", {"u-1": "16000"})
    done = run(recipe, "--codec", f"dac:{tmp_path}/dac")
    assert done.returncode == 1 and "data/test/utt2rate: u-1: sample rate is 16000 Hz but 24000 Hz" in done.stderr
    assert "semantic tokens of" not in done.stdout


@pytest.mark.parametrize("other", ["nothing", "recording", "segments", "utterance"])
def test_a_text_set_that_is_part_of_the_training_set_has_its_tokens_from_there(recipe, other):
    data, shard = recipe.root / "egs/mini/data", "dump/semantic_hubert_l1_k8/train/semantic.1"
    tokens = {"u-1": np.arange(16), "u-2": np.arange(10, 14)}
    write_tokens(shard, tokens.items(), INFO["semantic"])
    for suffix in ("scp", "json"):
        shutil.copyfile(f"{shard}.{suffix}", data / f"train/semantic.{suffix}")
    (data / "part").mkdir()
    ids = ["u-2", "u-3"] if other == "utterance" else ["u-2"]
    for table, value in (("utt2spk", "u"), ("wav.scp", "/x.wav"), ("utt2dur", "1")):
        write_table(data / "train" / table, {"u-1": value, "u-2": value})
        write_table(data / "part" / table, dict.fromkeys(ids, value))
    if other == "recording":
        write_table(data / "part/wav.scp", {"u-2": "/noisy/x.wav"})
    elif other == "segments":
        write_table(data / "part/segments", {"u-2": "u-2 0.00 0.50"})
    more = ["--text-train-set", "part", "--stop-stage", "1"]
    done = run(recipe, *more)
    if other != "nothing":  # which needs the real model
        assert done.returncode == 1 and "kmeans.json: no such file" in done.stderr
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert "semantic tokens of part" in done.stdout and "tokens of train" not in done.stdout
    archive = TokenArchive(data / "part/semantic.scp")
    assert archive.ids == ["u-2"] and archive["u-2"].tolist() == tokens["u-2"].tolist()
    assert (data / "part/utt2num_frames").read_text() == "u-2 4\n"
    assert "complete, nothing to do" in run(recipe, *more).stdout


@pytest.mark.usefixtures("warm_python")
@pytest.mark.parametrize("kind, stage", [("semantic", 1), ("acoustic", 3)])
def test_another_tokenizer_under_the_same_name_makes_its_own_tokens(checkout, tmp_path, kind, stage):
    """Older than the tokens, as where a link or the name of a pack says another one now; and in several jobs."""
    root = checkout.root / "egs/mini"
    data, ids = root / "data/train", [f"u-{number:03}" for number in range(101)]
    data.mkdir(parents=True)
    write_audio(tmp_path / "a.wav", np.sin(np.arange(1600)), 16000)
    for table, value in (("utt2spk", "u"), ("wav.scp", str(tmp_path / "a.wav")), ("utt2dur", "0.1")):
        write_table(data / table, dict.fromkeys(ids, value))
    option, made_by = "--semantic-exp" if kind == "semantic" else "--codec-exp", []
    for number in (1, 2):
        place = tmp_path / str(number)
        if kind == "semantic":
            words = f"--data-dir {data} --features mfcc --clusters {number + 1} --output {place}"
            train_kmeans.main(words.split())
        else:
            write_experiment(place, seed=number)
        for path in place.iterdir():
            os.utime(path, (0, 0))
    (root / "exp").mkdir()
    sets = "--train-set train --valid-set train --test-sets train --ssl-model mfcc --semantic-tag x --nj 2".split()
    command = ["./run.sh", *sets, "--stage", str(stage), "--stop-stage", str(stage), option, "exp/x"]
    for number, works in ((1, True), (2, True), (2, False)):
        (root / "exp/x").unlink(missing_ok=True)
        (root / "exp/x").symlink_to(tmp_path / str(number))
        done = checkout.run(command, cwd="egs/mini", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("nothing to do" not in done.stdout) == works
        made_by.append(TokenArchive(data / f"{kind}.scp").info.fingerprint)
    assert made_by[0] != made_by[1] == made_by[2]


def run_later_stage(recipe, stage, fingerprint):
    """A stage after that of the tokens, with a k-means in another place."""
    root = recipe.root / "egs/mini"
    for name in ["kmeans_other/centroids", *["soundstorm/model"] * (stage == 6)]:
        (root / "exp" / name).parent.mkdir()
        (root / f"exp/{name}.safetensors").touch()
    (root / "exp/kmeans_other/kmeans.json").write_text(json.dumps({"fingerprint": fingerprint}, indent=2))
    for name in ("train", "dev"):
        write_table(root / f"data/{name}/text", {"u-1": "one"})
    options = f"--stage {stage} --stop-stage {stage} --test-sets test --semantic-tag other"
    options += f" --systems {'soundstorm_text' if stage == 5 else 'soundstorm'}"
    options += " --ssl-model exp/hubert/hubert --codec-exp exp/codec --dialogue-script"
    done = recipe.run(["./run.sh", *options.split(), ""], cwd="egs/mini", timeout=300)
    assert done.returncode == 1, done.stdout
    return done.stderr


@pytest.mark.parametrize("stage", [4, 5, 6])
def test_tokens_of_another_kmeans_are_refused_before_hours_of_work(recipe, stage):
    told = run_later_stage(recipe, stage, "2" * 64)
    name = "test" if stage == 6 else "train"
    assert f"data/{name}/semantic.scp has the tokens of another k-means (000000000000)" in told
    assert "than exp/kmeans_other (222222222222); give the options of those tokens, or have stage 1 make" in told
    assert f"make the others: --stage 1 --stop-stage {stage}" in told


def test_tokens_of_the_same_kmeans_in_another_place_are_let_through(recipe):
    told = run_later_stage(recipe, 6, "0" * 64)  # as where a pack stands for the experiment
    assert "another k-means" not in told and "exp/soundstorm/config.yaml" in told
