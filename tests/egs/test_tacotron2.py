"""The engine knows the systems of a model that reads text; from stage 4 to 7: test_readers_integration.py."""

import pytest

MODELS = ["--acoustic-models", "soundstorm tacotron2"]
ALONE = ["--acoustic-models", "tacotron2", "--dialogue-script", "", "--pack", "false", "--consistency", "none"]


def status(checkout, *options):
    return checkout.run(["./run.sh", "--status", "--stage", "6", "--stop-stage", "6", *options], cwd="egs/mini")


def test_its_systems_are_its_vocoders_with_and_without_prompt(checkout):
    done = status(checkout, *MODELS, "--systems", "codec tacotron2 tacotron2_griffin_lim_prompted tacotron2_window")
    assert done.returncode == 0, done.stderr
    for system in ("tacotron2", "tacotron2_griffin_lim_prompted", "tacotron2_window"):
        assert f"{system} of test: exp/tacotron2/decode_{system}/test" in done.stdout
    assert "codec of test: exp/soundstorm/decode_codec/test" in done.stdout


@pytest.mark.parametrize(
    "options, words",
    [
        ([*MODELS, "--systems", "tacotron2_text"], "tacotron2 reads text anyway, leave _text out"),
        (["--acoustic-models", "tacotron2 soundstorm"], "begins with tacotron2, which has no tokens"),
        ([*MODELS, "--systems", "tacotron2_griffin"], "--systems has 'tacotron2_griffin'"),
        ([*ALONE, "--systems", "codec"], "--systems has 'codec', but tacotron2 has no tokens"),
        ([*ALONE, "--dialogue-script", "conf/dialogue.txt"], "pass --dialogue-script '' --pack false"),
        ([*ALONE, "--pack", "true"], "pass --dialogue-script '' --pack false"),
        ([*ALONE, "--stop-stage", "7", "--consistency", "train"], "pass --consistency none"),
    ],
)
def test_what_it_cannot_be_is_refused(checkout, options, words):
    done = status(checkout, *options)
    assert done.returncode != 0 and words in done.stderr


def test_alone_it_needs_no_tokens(checkout):
    done = status(checkout, *ALONE, "--stage", "0", "--stop-stage", "7", "--systems", "")
    assert done.returncode == 0, done.stderr
    stages = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("Stage ")]
    assert stages == ["Stage 0", "Stage 4", "Stage 5", "Stage 6", "Stage 7"]
    decoded = [line.split()[2] for line in done.stdout.splitlines() if "/decode_" in line]
    assert set(decoded) == {"tacotron2", "tacotron2_griffin_lim", "tacotron2_prompted", "tacotron2_window"}


def test_it_learns_from_the_transcribed_sets_where_the_others_need_no_text(checkout):
    recipe, engine = checkout.root / "egs/librilight", checkout.root / "egs/TEMPLATE/soundstorm.sh"
    engine.write_text(engine.read_text().replace("if doing 4 ", 'run_training() { echo "runs $*"; }\nif doing 4 '))
    for part in ("soundstorm", "tacotron2/features"):
        (recipe / "exp" / part).mkdir(parents=True)
        (recipe / "exp" / part / "model.safetensors").touch()
    command = ["./run.sh", *MODELS, "--systems", "codec tacotron2", "--stage", "4", "--stop-stage", "4"]
    command += ["--text-train-set", "train_text", "--text-valid-set", "dev_text"]
    for missing in ("train_text/utt2dur", "dev_text/utt2dur", "train_text/text", "dev_text/text"):
        done = checkout.run(command, cwd="egs/librilight")
        assert done.returncode == 1 and f"data/{missing} is missing" in done.stderr, done.stderr
        (recipe / "data" / missing).parent.mkdir(parents=True, exist_ok=True)
        (recipe / "data" / missing).touch()
    done = checkout.run(command, cwd="egs/librilight")
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("runs ")]
    assert "train_tacotron2 --stage wavenet" in told
    assert "--train-data data/train_text --valid-data data/dev_text" in told
