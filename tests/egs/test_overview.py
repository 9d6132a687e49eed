"""--status, which does nothing, and the last lines of a run."""

import os
import re
import sys

import pytest

from soundstorm.data.data_dir import write_table


@pytest.fixture
def root(checkout):
    """egs/mini with the traces of stages 0 and 1 and of a codec that is being trained."""
    root = checkout.root / "egs/mini"
    for name in ("token_recognizer/model", "kmeans_token_recognizer_l4_k512/centroids"):
        path = root / f"exp/{name}.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
    (root / "data/dev").mkdir(parents=True)
    tables = {"utt2spk": "u", "wav.scp": "/x.wav", "utt2dur": "1"}
    for table, value in tables.items():
        write_table(root / "data/dev" / table, {"u-1": value})
    write_table(root / "data/dev/spk2utt", {"u": "u-1"})
    log = root / "exp/codec/log/train.log"
    log.parent.mkdir(parents=True)
    words = "train step 50/100 loss=0.25 mel=0.2 (2.50 steps/s, 0% waiting for data)"
    log.write_text(f"# Running on {os.uname().nodename}\nx INFO: {words}\n")
    return root


def snapshot(root):
    found = {path: path.lstat() for path in root.rglob("*")}
    return {path: (stat.st_mode, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_status_says_what_is_done_and_running_and_to_come_and_changes_nothing(checkout, root):
    before = snapshot(checkout.root)
    with open(root / "exp/codec/log/train.log", "a"):
        done = checkout.run(["./run.sh", "--status", "--stop-stage", "6"], cwd="egs/mini")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert snapshot(checkout.root) == before
    stages = dict(part.split(":", 1) for part in done.stdout.split("Stage ")[1:])
    assert sorted(stages) == ["0", "1", "2", "3", "4", "5", "6"]
    assert stages["1"].count("  done  ") == 2 and stages["1"].count("  to come  ") == 4  # tokens of four sets
    assert "running  training: exp/codec: step 50/100 loss=0.25 (2.50 steps/s), 0:20 left" in stages["2"]
    for stage in ("0", "3", "4", "5", "6"):
        assert "  to come  " in stages[stage] and "  done  " not in stages[stage]


def test_both_kinds_of_text_to_semantic_are_trained_and_their_systems_stand_side_by_side(checkout, root):
    models = ["--text-to-semantic-models", "autoregressive masked"]
    done = checkout.run(["./run.sh", "--status", "--stage", "5", "--stop-stage", "6", *models], cwd="egs/mini")
    assert done.returncode == 0, done.stderr
    for name in ("text_to_semantic", "masked_text_to_semantic"):
        assert f"training: exp/{name}\n" in done.stdout
    for system in ("text", "text_prompted", "masked_text", "masked_text_prompted"):
        assert f"exp/soundstorm/decode_soundstorm_{system}/test\n" in done.stdout
    wrong = checkout.run(["./run.sh", "--status", "--text-to-semantic-models", "mask"], cwd="egs/mini")
    assert "--text-to-semantic-models has 'mask', expected one or both of autoregressive, masked" in wrong.stderr
    wrong = checkout.run(["./run.sh", "--status", "--systems", "soundstorm_autoregressive_text"], cwd="egs/mini")
    assert wrong.returncode != 0 and "--systems has 'soundstorm_autoregressive_text'" in wrong.stderr


def test_variants_of_models_are_trained_and_decoded_by_their_own_names(checkout, root):
    variants = "soundstorm_unet='--model.combine unet' mask_diffusion_absorbing='--diffusion.uniform 0'"
    command = ["./run.sh", "--status", "--stage", "4", "--stop-stage", "6", "--acoustic-variants", variants]
    done = checkout.run(command, cwd="egs/mini")
    assert done.returncode == 0, done.stderr
    for name in ("soundstorm", "soundstorm_unet", "mask_diffusion_absorbing"):
        assert f"training: exp/{name}\n" in done.stdout
        assert f"{name} of test: exp/{name}/decode_{name}/test\n" in done.stdout
        assert f"exp/{name}/decode_{name}_prompted/test\n" in done.stdout
    done = checkout.run([*command, "--systems", "soundstorm_unet_text"], cwd="egs/mini")
    assert "exp/soundstorm_unet/decode_soundstorm_unet_text/test\n" in done.stdout


@pytest.mark.parametrize(
    "variants, words",
    [
        ("conformer_big=", "--acoustic-variants has 'conformer_big=', expected <model>_<name>=<options"),
        ("soundstorm_big", "--acoustic-variants has 'soundstorm_big', expected <model>_<name>=<options"),
        ("soundstorm_from_text=", "does not end in _text"),
        ("soundstorm_greedy=", "has 'soundstorm_greedy', which is the name of another system"),
        ("soundstorm_a= soundstorm_a=", "has 'soundstorm_a', which is the name of another system"),
    ],
)
def test_what_no_variant_can_be_is_refused(checkout, root, variants, words):
    done = checkout.run(["./run.sh", "--status", "--acoustic-variants", variants], cwd="egs/mini")
    assert done.returncode != 0 and words in done.stderr


def test_a_run_ends_with_seconds_models_and_what_to_do_with_them(checkout, root):
    for name in (
        "timing.tsv",
        "soundstorm/model.safetensors",
        "masked_text_to_semantic/model.safetensors",
        "report/index.html",
    ):
        (root / "exp" / name).parent.mkdir(exist_ok=True)
        (root / "exp" / name).touch()
    (root / "exp/timing.tsv").write_text("0\t5\n1\t60\n7\t2\n7\t3\n")
    command = ["./run.sh", "--stage", "8"]  # none
    done = checkout.run(command, cwd="egs/mini")
    said = [line.split("INFO: ")[1] for line in done.stdout.splitlines()]
    assert said == [
        "Seconds of the stages, all runs together: 0: 5, 1: 60, 7: 5, in all: 70",
        "Models: exp/kmeans_token_recognizer_l4_k512 exp/soundstorm exp/masked_text_to_semantic",
        f"Listen to the systems side by side: {root.resolve()}/exp/report/index.html",
        "To speak with these models, pack them: ./run.sh --stage 7 --pack true",
    ]
    (root / "exp/pack").mkdir()
    (root / "exp/pack/pack.json").touch()
    last = checkout.run(command, cwd="egs/mini").stdout.splitlines()[-1]
    assert f"soundstorm.bin.speak --model {root.resolve()}/exp/pack --text 'your words'" in last


def test_models_that_learn_from_written_texts_have_names_of_their_own(checkout):
    options = ["--text-to-semantic-models", "autoregressive masked", "--status", "--stage", "5", "--stop-stage", "5"]
    names = ("text_to_semantic", "masked_text_to_semantic")
    for more, end in ([], ""), (["--back-translation", "conf/train_semantic_to_text.yaml"], "_back_translated"):
        shown = checkout.run(["./run.sh", *options, *more], cwd="egs/mini").stdout.split()
        assert {f"exp/{name}{end}" for name in names} <= set(shown)
        assert more == [] or not {f"exp/{name}" for name in names} & set(shown)


def test_the_small_dialogue_recipe_leaves_the_folders_of_the_other_alone(checkout):
    def folders(script):
        shown = checkout.run([script, "--status", "--stage", "1"], cwd="egs/dialogue").stdout
        return set(re.findall(r"\b(?:data|dump|exp)\w*(?=/)", shown))

    assert folders("./run.sh") == {"data", "exp"}
    assert folders("./run_small.sh") == {"data_small", "exp_small"}
