"""The engine in surroundings that are not the developer's: variables, links, odd words in paths, numbers."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import soundfile

SETS = ("train", "dev", "test")
ONE_SET = "--train-set train --valid-set train --test-sets train".split()  # where one will do: each takes seconds
# Copies the directories of --corpus, and notes what else it was given.
DATA = """#!/usr/bin/env bash
set -euo pipefail
corpus= word= datadir=data
. ./path.sh
. utils/parse_options.sh
mkdir -p "${datadir}"
cp -r "${corpus}"/* "${datadir}/"
printf '%s' "${word}" >"${datadir}/word"
"""


def write_sets(directory):
    """A data directory for each set, of one utterance, as a user may bring them: without utt2dur."""
    for name in SETS:
        (directory / name).mkdir(parents=True)
        wav = directory / name / "a.wav"
        soundfile.write(wav, [0.1, -0.1] * 4000, 16000)
        for table, value in {"wav.scp": wav, "utt2spk": "a", "spk2utt": "a", "text": "one two"}.items():
            (directory / name / table).write_text(f"a {value}\n")


@pytest.fixture
def recipe(checkout, tmp_path):
    """A new recipe whose stage 0 takes `--corpus`, and a corpus in a path with a blank."""
    checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
    (checkout.root / "egs/foo/local/data.sh").write_text(DATA)
    write_sets(tmp_path / "my corpus")
    return checkout.root / "egs/foo"


def stage_0(checkout, options, *more, cwd="egs/foo", **variables):
    words = "./run.sh --stage 0 --stop-stage 0 --nj 1 --local-data-opts".split()
    return checkout.run([*words, options, *more], cwd=cwd, **variables)


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', "{blank}"])
def test_options_of_others_are_unquoted_as_a_shell_does(checkout, recipe, tmp_path, quoted):
    corpus = str(tmp_path / "my corpus")
    words = quoted.format(corpus, blank=corpus.replace(" ", "\\ "))
    done = stage_0(checkout, f"--corpus {words} --word '$HOME; touch x * `date`'", *ONE_SET)
    assert done.returncode == 0, done.stderr
    assert (recipe / "data/train/utt2dur").read_text() == "a 0.5\n"
    assert (recipe / "data/word").read_text() == "$HOME; touch x * `date`"
    assert not (recipe / "x").exists()


def test_the_sets_that_a_recipe_makes_are_named(checkout, recipe, tmp_path):
    corpus = f"--corpus '{tmp_path}/my corpus'"
    done = stage_0(checkout, corpus, "--train-set", "trian", *ONE_SET[2:])
    assert done.returncode == 1
    assert "made no data/trian; it should, or --train-set, --valid-set, --test-sets differ" in done.stderr
    done = stage_0(checkout, corpus, *ONE_SET)
    assert done.returncode == 0, done.stderr


def test_the_option_that_a_message_names_is_enough(checkout, recipe):
    """Checked before any stage, so that none need run."""
    run = "./run.sh --stage 8 --stop-stage 7 --consistency train --ssl-model whisper:tiny".split()
    done = checkout.run(run, cwd="egs/foo")
    assert done.returncode == 1
    option = re.search(r"give it a model without a prefix by (--[a-z-]+)", done.stderr)[1]
    done = checkout.run([*run, option, "facebook/hubert-base-ls960"], cwd="egs/foo")
    assert done.returncode == 0, done.stderr


def test_a_quotation_without_end_is_found_before_anything_runs(checkout, recipe):
    done = checkout.run(["./run.sh", "--decode-args", "--decode.note 'it"], cwd="egs/foo")
    assert done.returncode == 1
    assert "cannot split into words: --decode.note 'it (a quotation mark" in done.stderr
    assert not (recipe / "data").exists()


def test_help_states_the_rules_of_quoting(checkout):
    shown = checkout.run(["./run.sh", "--help"], cwd="egs/mini").stdout
    assert "split and unquoted as a shell does" in shown and "'/data/my corpus'" in shown


def test_the_word_job_may_stand_in_every_path(checkout, recipe, tmp_path):
    (tmp_path / "my corpus").rename(tmp_path / "JOBS")
    for name in SETS:
        table = tmp_path / f"JOBS/{name}/wav.scp"
        table.write_text(table.read_text().replace("my corpus", "JOBS"))
    done = stage_0(checkout, f"--corpus {tmp_path}/JOBS", "--datadir", "dataJOB", *ONE_SET)
    assert done.returncode == 0, done.stderr
    assert (recipe / "dataJOB/train/utt2dur").exists()
    assert sorted(path.name for path in recipe.iterdir() if "data" in path.name) == ["dataJOB"]


def test_the_engine_writes_no_job_number_by_the_word_job(checkout):
    template = checkout.root / "egs/TEMPLATE"
    scripts = [*template.glob("functions/*.sh"), template / "soundstorm.sh"]
    assert not [path.name for path in scripts if re.search(r"[./]JOB\b", path.read_text())]


@pytest.mark.parametrize("folder", ["dump/", "./dump", ".//new/./dump//"])
def test_a_folder_is_the_same_however_it_is_written(checkout, recipe, tmp_path, folder):
    options = (f"--corpus '{tmp_path}/my corpus'", *ONE_SET, "--audio-format", "flac", "--dumpdir", folder)
    done = stage_0(checkout, *options)
    assert done.returncode == 0, done.stderr
    assert "complete, nothing to do" in stage_0(checkout, *options).stdout


NEEDS_STAGE_0 = "data/train/utt2dur is missing, which stage 0 writes"


@pytest.mark.parametrize(
    "variables",
    [{"CDPATH": "{root}/decoy:{root}"}, {"PYTHONSAFEPATH": "1"}, {"XDG_CACHE_HOME": ""}],
    ids=["CDPATH", "PYTHONSAFEPATH", "no cache"],
)
def test_variables_of_the_user_change_nothing(checkout, variables):
    (checkout.root / "decoy/egs/mini").mkdir(parents=True)
    variables = {name: value.format(root=checkout.root) for name, value in variables.items()}
    done = checkout.run(["egs/mini/run.sh", "--stage", "2"], **variables)
    assert NEEDS_STAGE_0 in done.stderr, done.stderr


def test_a_recipe_is_made_with_cdpath_set(checkout):
    (checkout.root / "decoy/egs").mkdir(parents=True)
    done = checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"], CDPATH=f"{checkout.root}/decoy")
    assert done.returncode == 0, done.stderr
    assert (checkout.root / "egs/foo/run.sh").exists()


def test_home_may_be_unset(checkout):
    environment = checkout.environment()
    environment.pop("HOME", None)
    recipe = checkout.root / "egs/mini"
    done = subprocess.run(
        ["./run.sh", "--stage", "2"], cwd=recipe, env=environment, capture_output=True, text=True
    )
    assert NEEDS_STAGE_0 in done.stderr, done.stderr


@pytest.mark.parametrize("link", ["mini", "egs"])
def test_a_recipe_may_be_reached_by_a_link(checkout, link):
    (checkout.root / "elsewhere").mkdir()
    target = "egs/mini" if link == "mini" else "egs"
    (checkout.root / "elsewhere" / link).symlink_to(checkout.root / target)
    cwd = "elsewhere/mini" if link == "mini" else "elsewhere/egs/mini"
    program = 'cd "$1" && ./run.sh --stage 2'
    done = checkout.run(["bash", "-c", program, "bash", str(checkout.root / cwd)])
    assert NEEDS_STAGE_0 in done.stderr, done.stderr


def test_scripts_of_a_recipe_import_their_neighbours_where_pythonsafepath_is_set(checkout):
    done = checkout.run(["local/data.sh", "--help"], cwd="egs/speechocean762", PYTHONSAFEPATH="1")
    assert done.returncode == 0 and "--extra-data" in done.stdout, done.stderr


@pytest.fixture
def pythons(checkout):
    """Folders of three Pythons that tell themselves: a bare one, as conda's base is, a full one, the installer's."""
    folders = {"bare": "conda/bin", "full": "mine/bin", "installed": ".venv/bin"}
    for name, folder in folders.items():
        path = checkout.root / folder / "python3"
        path.parent.mkdir(parents=True)
        options = "-I -S" if name == "bare" else ""  # without site-packages
        path.write_text(f'#!/bin/sh\nWHICH={name} exec {sys.executable} {options} "$@"\n')
        path.chmod(0o755)
    return {name: checkout.root / folder for name, folder in folders.items()}


@pytest.mark.parametrize(
    "first, variable, runs",
    [
        ("bare", "CONDA_PREFIX", "installed"),
        ("bare", "VIRTUAL_ENV", "installed"),
        ("full", "CONDA_PREFIX", "full"),
        ("full", "VIRTUAL_ENV", "full"),
        ("full", None, "installed"),
    ],
)
def test_an_active_environment_comes_first_if_it_has_what_is_needed(checkout, pythons, first, variable, runs):
    environment = {k: v for k, v in os.environ.items() if k not in ("CONDA_PREFIX", "VIRTUAL_ENV")}
    environment["PATH"] = os.pathsep.join([str(pythons[first]), environment["PATH"]])
    if variable:
        environment[variable] = str(pythons[first].parent)
    program = """. ./path.sh; python3 -c 'import os; print(os.environ["WHICH"])'
    utils/front.sh speak --help | head -n 1"""
    done = subprocess.run(
        ["bash", "-euc", program],
        cwd=checkout.root / "egs/mini",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[0] == runs, done.stderr
    assert done.stdout.splitlines()[1].startswith("usage: "), done.stderr


def test_tools_that_read_audio_find_the_installed_python_in_a_fresh_shell(checkout, pythons, tmp_path):
    (checkout.root / "utils").unlink()
    shutil.copytree(checkout.source / "utils", checkout.root / "utils")
    write_sets(tmp_path)
    environment = {k: v for k, v in os.environ.items() if k not in ("CONDA_PREFIX", "VIRTUAL_ENV")}
    environment["PATH"] = os.pathsep.join([str(pythons["bare"]), environment["PATH"]])
    for words in ("get_utt2dur.sh train", "format_wav_scp.sh train new", "validate_data_dir.sh new"):
        tool, *arguments = words.split()
        command = [checkout.root / "utils" / tool, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version, is_refused", [("3 2", True), ("4 3", True), ("4 4", False), ("5 0", False)])
def test_a_bash_that_is_too_old_is_refused_before_anything(checkout, version, is_refused):
    path = checkout.root / "egs/TEMPLATE/path.sh"
    path.write_text(f"OLD=({version})\n" + path.read_text().replace("BASH_VERSINFO[", "OLD["))
    script = checkout.root / "egs/TEMPLATE/soundstorm.sh"
    script.write_text(script.read_text().replace("# --- options\n", "echo on; exit\n# --- options\n"))
    done = checkout.run(["./run.sh"], cwd="egs/mini")
    assert done.stdout == ("" if is_refused else "on\n")
    assert ("soundstorm.sh: bash is " in done.stderr and "brew install bash" in done.stderr) == is_refused


def test_an_output_is_done_if_these_options_made_it_after_what_they_name(checkout, tmp_path):
    program = """
    . "$1"; cd "$2"; mkdir model; touch model/model.safetensors script; touch -d tomorrow out
    told() { made_by record out --model model --script script "$@" && echo yes || echo no; }
    told
    remember record --model model --script script; told; told --more
    touch -d '2 days' script; told
    touch -d yesterday script; told; touch -d '2 days' model/model.safetensors; told
    touch -d '3 days' out; told; rm out; told
    """
    jobs = checkout.root / "egs/TEMPLATE/functions/jobs.sh"
    done = checkout.run(["bash", "-euc", program, "bash", str(jobs), str(tmp_path)])
    assert done.stdout.split() == ["no", "yes", "no", "no", "yes", "no", "yes", "no"], done.stderr


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("nj", "0", "--nj is 0, expected at least 1"),
        ("threads-per-job", "00", "--threads-per-job is 0, expected at least 1"),
        ("nj", "-1", "--nj takes a number, got '-1'"),
        ("nj", "99999999999999999999", "--nj takes a number, got '99999999999999999999'"),
        ("stage", "08", None),  # which is 8, not a bad octal number
    ],
)
def test_numbers_are_numbers(checkout, option, value, message):
    done = checkout.run(["./run.sh", "--stop-stage", "0", "--stage", "5", f"--{option}", value], cwd="egs/mini")
    if message:
        assert done.returncode == 1 and message in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")


def test_a_cluster_is_not_asked_for_the_processors_of_this_machine(checkout):
    shown = checkout.run(["./run.sh", "--help"], cwd="egs/mini", cmd_backend="slurm").stdout
    assert re.search(r"--train-threads .*\(default: \"?8\"?\)", shown)


def test_small_and_odd_tables_get_one_job(checkout, tmp_path):
    for lines, content in ((0, ""), (1, "a b"), (250, "a b\n" * 250)):
        (tmp_path / str(lines)).write_text(content)
    program = '. "$1"; nj=4; for lines in 0 1 250; do jobs_for "$2/${lines}"; done'
    jobs = checkout.root / "egs/TEMPLATE/functions/jobs.sh"
    done = checkout.run(["bash", "-euc", program, "bash", str(jobs), str(tmp_path)])
    assert done.stdout.split() == ["1", "1", "3"], done.stderr


@pytest.mark.parametrize(
    "theirs, spin",
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "unset")],
)
def test_waiting_threads_leave_their_cores_unless_the_user_says_otherwise(checkout, theirs, spin):
    words = ["env", "-u", "GOMP_SPINCOUNT", "-u", "OMP_WAIT_POLICY", *(f"{k}={v}" for k, v in theirs.items())]
    done = checkout.run([*words, "bash", "-c", '. ./path.sh; echo "${GOMP_SPINCOUNT-unset}"'], cwd="egs/mini")
    assert done.stdout.strip() == spin, done.stderr
