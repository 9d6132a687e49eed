"""Options that egs/mini's series of runs share (local/series.sh); what else they do: test_mini_integration.py."""

import pytest

SCRIPTS = ["run_ablations.sh", "run_groups.sh", "run_options.sh", "run_systems.sh", "run_voice.sh"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_option_without_its_value_is_refused(checkout, script):
    done = checkout.run([f"./{script}", "--small", "true", "--ear"], cwd="egs/mini")
    assert done.returncode == 1 and done.stderr == f"./{script}: option --ear needs a value\n"


@pytest.mark.parametrize("script", SCRIPTS[:-1])
@pytest.mark.parametrize("value", ["1", "false && false"])
def test_what_is_neither_true_nor_false_is_refused(checkout, script, value):
    done = checkout.run([f"./{script}", "--small", value], cwd="egs/mini")
    assert done.returncode == 1 and done.stderr == f'./{script}: expected "true" or "false": --small {value}\n'


@pytest.mark.parametrize("script", SCRIPTS)
def test_other_options_are_the_engines(checkout, script):
    done = checkout.run([f"./{script}", "--no-such-option", "1"], cwd="egs/mini")
    assert done.returncode != 0 and "invalid option --no-such-option" in done.stderr


@pytest.fixture
def calls(checkout):
    """What is said to run.sh, which does nothing; a function to read it."""
    script = checkout.root / "egs/mini/run.sh"
    script.write_text('#!/bin/sh\nprintf "%s\\t" "$@" >>calls\necho >>calls\n')
    return lambda: [line.split("\t")[:-1] for line in (script.parent / "calls").read_text().splitlines()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_that_of_the_script_and_runs_nothing(checkout, script):
    done = checkout.run([f"egs/mini/{script}", "--ear", "train", "--help"])
    assert done.returncode == 0 and f"./{script} " in done.stdout and "[--ear openai/whisper-base]" in done.stdout
    assert done.stdout.endswith("Options of the engine: ./run.sh --help\n") and "Stage" not in done.stdout


@pytest.mark.parametrize("script", ["run_ablations.sh", "run_groups.sh", "run_options.sh"])
def test_status_is_that_of_every_run_and_no_table_is_made(checkout, calls, script):
    recipe = checkout.root / "egs/mini"
    before = {path: path.stat().st_mtime_ns for path in recipe.glob("RESULTS*")}
    done = checkout.run([f"./{script}", "--status", "--seeds", "0 1", "--nj", "1"], cwd="egs/mini")
    assert done.returncode == 0, done.stderr
    assert len(calls()) > 2 and all(words[-3:] == ["--status", "--nj", "1"] for words in calls())
    assert {path: path.stat().st_mtime_ns for path in recipe.glob("RESULTS*")} == before


@pytest.mark.parametrize("config, tag", [("", "groups"), ("conf/train_codec_hifi.yaml", "groups_hifi")])
def test_groups_are_tried_on_a_codec_of_any_family(checkout, calls, config, tag):
    options = ["--codec-config", config, "--codec-args", "--model.kernels 3"] if config else []
    done = checkout.run(["./run_groups.sh", *options, "--seeds", "5", "--status"], cwd="egs/mini")
    assert done.returncode == 0, done.stderr
    said = [dict(zip(words, words[1:])) for words in calls()]
    names = [f"{tag}_{name}_5" for name in ("1x4", "1x4", "2x2", "2x2")]
    assert [words["--codec-tag"] for words in said] == [words["--soundstorm-tag"] for words in said] == names
    for words, groups in zip(said[::2], ("1", "2")):
        assert words["--codec-config"] == (config or "conf/train_codec.yaml")
        assert words["--codec-args"].split()[:4] == ["--model.groups", groups, "--training.seed", "5"]
        assert words["--codec-args"].endswith("--model.kernels 3") == bool(config)
    assert [words["--decode-tag"] for words in said[1::2]] == names[::2]


@pytest.mark.parametrize(
    "words, ear, rest",
    [
        ([], "openai/whisper-base", []),
        (["--status"], "openai/whisper-base", ["--status"]),
        (["--nj", "1"], "openai/whisper-base", ["--nj", "1"]),
        (["my/ear", "--nj", "1"], "my/ear", ["--nj", "1"]),
    ],
)
def test_the_ear_is_a_first_word_that_is_no_option(checkout, calls, words, ear, rest):
    assert checkout.run(["./run_ear.sh", *words], cwd="egs/mini").returncode == 0
    (said,) = calls()
    assert said[:2] == ["--recognizer", f"{ear} closed:train train"] and said[6:] == rest
