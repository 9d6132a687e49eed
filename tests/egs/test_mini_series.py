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
        assert words["--codec-args"].split()[-4:] == ["--model.groups", groups, "--training.seed", "5"]
        assert ("--model.kernels 3" in words["--codec-args"]) == bool(config)
    assert [words["--decode-tag"] for words in said[1::2]] == names[::2]


def value_of(option, words):
    """The last one, which holds."""
    return [value for name, value in zip(words, words[1:]) if name == option][-1]


SERIES = ["run_ablations.sh", "run_groups.sh", "run_options.sh"]


@pytest.fixture
def table(checkout):
    """Runs a series and returns what its table is asked for: sets and score directories."""
    for name in ("variants_table.py", "codec_table.py"):
        program = f"import sys\nprint('{name}', *sys.argv[1:], sep='\\t')\n"
        (checkout.root / "egs/mini/local" / name).write_text(program)

    def run(script, *options):
        done = checkout.run([f"./{script}", *options], cwd="egs/mini")
        assert done.returncode == 0, done.stderr
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        (words,) = [line for line in lines if line[0] == "variants_table.py"]
        sets = words[words.index("--sets") + 1 : words.index("--seeds")]
        return sets, {words[i + 3] for i, word in enumerate(words) if word == "--row"}

    return run


@pytest.mark.parametrize("script", SERIES)
@pytest.mark.parametrize("option, expected", [([], None), (["--test-sets", "test_a test_b"], ["test_a", "test_b"])])
def test_the_table_is_of_the_sets_and_the_folder_that_the_runs_were_told(calls, table, script, option, expected):
    sets, scores = table(script, "--seeds", "0", "--expdir", "exp_x", *option)
    assert sets == (expected or (["test"] if script == "run_options.sh" else ["test", "test_unseen"]))
    assert {value_of("--test-sets", words) for words in calls()} == {" ".join(sets)}
    assert {value_of("--expdir", words) for words in calls()} == {"exp_x"}
    assert scores and all(place.startswith("exp_x/") for place in scores)


@pytest.mark.parametrize("script", SERIES)
def test_what_the_runs_differ_in_is_refused(checkout, script):
    for option in ["--decode-tag", "--soundstorm_exp"] + ["--codec-tag"] * (script == "run_groups.sh"):
        done = checkout.run([f"./{script}", option, "x"], cwd="egs/mini")
        assert done.returncode == 1 and f"{option} is what the runs of ./{script} have each for itself" in done.stderr


def test_options_for_all_runs_do_not_replace_those_of_each(calls, table):
    table("run_options.sh", "--decode-args", "--decode.prior 0.1", "--variants", "iterations4", "--seeds", "3")
    expected = "--decode.prior 0.1 --decode.iterations 4,1 --decode.seed 3"
    assert value_of("--decode-args", calls()[-1]).strip() == expected
    table("run_groups.sh", "--soundstorm-args", "--model.layers 1", "--codec-args", "--model.width 8", "--seeds", "3")
    trained = calls()[-2]
    assert value_of("--codec-args", trained) == "--model.width 8 --model.groups 2 --training.seed 3"
    assert value_of("--soundstorm-args", trained) == "--model.layers 1 --training.seed 3"
    table("run_ablations.sh", "--decode-args", "--decode.prior 0.1", "--variants", "grid0.5_guidance", "--seeds", "3")
    assert value_of("--decode-args", calls()[-1]) == "--decode.prior 0.1 --decode.guidance 1"


def test_recordings_are_scored_once_for_all_runs(checkout):
    script = """
    . local/series.sh
    wants_status=false sets=(a b)
    scored() { mkdir -p "$1" && echo "$2" >"$1/original.json" && sleep 0.02; }
    share_originals s/1
    scored s/1/a one; scored s/1/b one
    share_originals s/2
    scored s/2/a theirs # by the run itself
    share_originals s/2
    scored s/1/a two # by another ear
    share_originals s/1
    share_originals s/2
    wants_status=true
    share_originals s/3
    cat s/{1,2}/{a,b}/original.json; ls s
    """
    done = checkout.run(["bash", "-euc", script], cwd="egs/mini")
    assert done.stdout.split() == ["two", "one", "two", "one", "1", "2"], done.stderr


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
