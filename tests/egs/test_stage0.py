"""Stage 0 of the engine looks at every recording once, and says what later stages could not work with."""

import re
import shlex
import shutil

import pytest
import soundfile

from soundstorm.data.data_dir import read_table, write_table


@pytest.fixture
def recipe(checkout, readers):
    """A copy of a recipe that has done stage 0, as old; a function runs it again."""
    shutil.copytree(readers / "checkout/egs/readers", checkout.root / "egs/readers", symlinks=True)

    def stage_0(*options):
        return checkout.run(
            ["./run.sh", "--stage", "0", "--stop-stage", "0", *options], cwd="egs/readers", timeout=300
        )

    stage_0.data, stage_0.corpus = checkout.root / "egs/readers/data", readers / "corpus"
    return stage_0


def test_directories_that_were_never_looked_at_are_and_local_data_is_not_run_again(recipe):
    (recipe.data / "dev/utt2rate").unlink()
    done = recipe("--local-data-opts", "--corpus nowhere")
    assert done.returncode == 0, done.stderr
    assert "made data/dev/utt2dur from the headers of 2 files" in done.stdout and "data/train" not in done.stdout
    assert set(read_table(recipe.data / "dev/utt2rate").values()) == {"16000"}


def test_recordings_are_looked_at_where_cmd_sh_says_and_not_on_a_clusters_login_machine(recipe):
    (recipe.data / "dev/utt2rate").unlink()
    folder = recipe.data.parent
    (folder / "noting.sh").write_text('#!/bin/sh\necho "$@" >>launched\nexec utils/run.py "$@"\n')
    (folder / "noting.sh").chmod(0o755)
    commands = (folder / "cmd.sh").read_text()
    (folder / "cmd.sh").write_text(commands + 'train_cmd="./noting.sh --mem 4G"\n')
    done = recipe()
    assert done.returncode == 0 and "made data/dev/utt2dur" in done.stdout, done.stderr
    launched = (folder / "launched").read_text()
    assert re.fullmatch(r"--mem 4G \S+=1:2 data/dev/log/get_utt2dur.* utt2dur_inspect .*\n", launched)


def test_samples_are_read_on_request_and_all_that_cannot_be_used_is_named(recipe):
    path = recipe.corpus / "anna/chapter1.flac"  # of all tests: it is repaired below
    wav, rate = soundfile.read(path)
    soundfile.write(path, 0 * wav, rate)
    assert "nothing to do" in recipe().stdout
    done = recipe("--check-samples", "true")
    assert done.returncode == 1 and "data/train: 1 cannot be used (1 silent):" in done.stderr
    assert "anna-chapter1: " in done.stderr and "chapter1.flac is silent: all samples are 0" in done.stderr
    soundfile.write(path, wav, rate)
    assert recipe("--check-samples", "true").returncode == 0
    assert (recipe.data / "test/reco2peak").exists() and "nothing to do" in recipe("--check-samples", "true").stdout


def test_a_set_with_fewer_tokens_than_utterances_is_in_order_and_keeps_them(recipe):
    utterances = read_table(recipe.data / "train/utt2spk")
    for name, value in (("semantic.scp", "x.ark:5"), ("utt2num_frames", "7")):
        write_table(recipe.data / "train" / name, dict.fromkeys(list(utterances)[1:], value))
    done = recipe("--local-data-opts", "--corpus nowhere")
    assert done.returncode == 0 and "nothing to do" in done.stdout, done.stderr
    assert (recipe.data / "train/semantic.scp").exists()


def test_a_set_that_is_not_in_order_is_not_made_again_unless_asked_for(recipe):
    table = recipe.data / "train/spk2utt"
    table.write_text(table.read_text().replace(" ", "  x ", 1))
    options = ("--local-data-opts", f"--corpus {recipe.corpus}")
    done = recipe(*options)
    assert done.returncode == 1 and "data/train/spk2utt is not the inverse of utt2spk" in done.stderr
    (remedy,) = re.findall(r"have local/data.sh make all sets again: rm (\S+)$", done.stderr, re.M)
    assert "x" in table.read_text().split()
    (recipe.data.parent / remedy).unlink()
    assert recipe(*options).returncode == 0 and "x" not in table.read_text().split()


def test_a_character_that_does_not_print_is_let_through_as_the_message_says(recipe):
    text = read_table(recipe.data / "dev/text")
    write_table(recipe.data / "dev/text", {utt: f"{words} \u2060x" for utt, words in text.items()})
    (recipe.data / "dev/utt2rate").unlink()
    options = ("--local-data-opts", "--corpus nowhere")
    assert recipe(*options).returncode == 1
    done = recipe(*options, "--validate-args", "--non-print")
    assert done.returncode == 0, done.stderr


def test_a_validation_set_of_one_utterance_is_refused_before_the_trainings_it_would_spoil(recipe):
    for name in ("utt2spk", "spk2utt", "text", "wav.scp", "utt2dur", "reco2dur", "utt2rate"):
        key, value = next(iter(read_table(recipe.data / "dev" / name).items()))
        write_table(recipe.data / "dev" / name, {key: value.split()[0] if name == "spk2utt" else value})
    done = recipe("--stop-stage", "7")
    assert done.returncode == 1 and "data/dev has one utterance; the acoustic consistency network" in done.stderr
    assert "Stage 1" not in done.stdout
    assert recipe().returncode == 0 and recipe("--stop-stage", "0", "--consistency", "none").returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--dialogue-script", "conf/some.txt", "--dialogue-prompts", "A=x", "--recognizer", "mine"),
        ("--systems", "soundstorm_text", "--recognizer", ""),
        ("--systems", "codec soundstorm_prompted", "--recognizer", "closed:train mine"),
        ("--systems", "codec", "--recognizer", "", "--ssl-model", "recognizer"),
        ("--acoustic-models", "soundstorm tacotron2", "--systems", "codec tacotron2_prompted", "--recognizer", ""),
    ],
)
def test_sets_without_text_are_refused_before_the_trainings_that_need_none(recipe, checkout, options):
    engine = checkout.root / "egs/TEMPLATE/soundstorm.sh"
    later = 'if "${has_tokens}" && doing 1 '
    engine.write_text(engine.read_text().replace(later, f"exit\n{later}"))
    shutil.copytree(recipe.data / "train", recipe.data / "told")
    for name in ("train", "dev", "test"):
        (recipe.data / name / "text").unlink()
    options = ("--stop-stage", "7", *options)
    done = recipe(*options)
    assert done.returncode == 1 and "data/train/text is missing, from which exp/" in done.stderr, done.stderr
    sets, other = re.search(r"name transcribed sets by (.*) and .*, or .*: (--.*)", done.stderr).groups()
    assert recipe(*options, *shlex.split(other)).returncode == 0
    done = recipe(*options, sets, "told")
    assert "data/dev/text is missing" in done.stderr
    assert recipe(*options, sets, "told", sets.replace("train", "valid"), "told").returncode == 0


def test_a_set_that_only_the_tokenizers_learn_from_is_looked_at_too_and_needed_by_them(recipe):
    done = recipe("--token-train-set", "all", "--local-data-opts", f"--corpus {recipe.corpus}")
    assert done.returncode == 0 and "made data/all/utt2dur" in done.stdout, done.stderr
    done = recipe("--token-train-set", "nobody", "--stage", "2", "--stop-stage", "2")
    assert done.returncode == 1 and "data/nobody/utt2dur" in done.stderr, done.stderr


def test_recordings_of_another_rate_than_the_codec_to_be_trained_are_refused_before_trainings(recipe, checkout):
    done = recipe("--stop-stage", "1", "--codec-args", "--model.sample-rate 24000")
    assert done.returncode == 1 and "resample the audio by utils/format_wav_scp.sh, in a recipe by " in done.stderr
    assert re.search(r"16000 Hz but 24000 Hz .*--audio-format flac --sample-rate 24000, or train a", done.stderr)
    assert not list((checkout.root / "egs/readers/exp").glob("kmeans*"))
