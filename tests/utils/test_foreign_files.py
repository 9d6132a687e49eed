"""No tool removes or changes what it has not written: recordings and notes in a data directory stay."""

import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from soundstorm.data.data_dir import read_table
from soundstorm.data.data_dir_replace import staged

from .conftest import UTILS

FOREIGN = ("NOTES", "wav/a-1.wav", "wav/.hidden", "log/mine.txt", ".backup/mine", "local/data.sh", "a b.flac")


def write_directory(root, name, utterances, *, broken=False):
    """A data directory with the audio inside, and files that are nobody's but the user's."""
    directory = root / name
    for number, foreign in enumerate(FOREIGN):
        (directory / foreign).parent.mkdir(parents=True, exist_ok=True)
        (directory / foreign).write_text(f"mine {number}\n")
    for utterance in utterances:
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, 1600)
        soundfile.write(directory / f"wav/{utterance}.wav", noise, 16000)
    ids = utterances[::-1] if broken else utterances
    (directory / "wav.scp").write_text("".join(f"{u} {directory}/wav/{u}.wav\n" for u in ids))
    (directory / "utt2spk").write_text("".join(f"{u} {u.partition('-')[0]}\n" for u in ids))
    (directory / "text").write_text("".join(f"{u} the words\n" for u in (*ids[:-1], "z-9")))
    (directory / "semantic.scp").write_text("".join(f"{u} x.ark:5\n" for u in ids))
    return directory


def digests(root, tables=()):
    """Every file below a directory that is none of these tables or copies of tables."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in tables]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


TABLES = {"wav.scp", "utt2spk", "spk2utt", "text", "semantic.scp", "utt2dur"}
TOOLS = [
    "fix_data_dir.sh old",
    "combine_data.sh old one two",
    "combine_data.sh --skip-fix true old one two",
    "copy_data_dir.sh one old",
    "subset_data_dir.sh --first one 2 old",
    "subset_data_dir.sh one 1 old",
    "get_utt2dur.sh old",
    "validate_data_dir.sh old",
    "split_scp.py old/utt2spk old/piece.1 old/piece.2",
]


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_not_a_tools_own_stays_as_it_is(tmp_path, tool):
    write_directory(tmp_path, "old", [f"a-{n}" for n in range(4)], broken=True)
    for name in ("one", "two"):
        directory = write_directory(tmp_path, name, [f"{name}-{n}" for n in range(3)])
        subprocess.run([UTILS / "fix_data_dir.sh", directory], check=True, capture_output=True)
    before, tables = digests(tmp_path, TABLES), {p: p.read_text() for p in (tmp_path / "old").iterdir() if p.is_file()}
    name, *arguments = tool.split()
    done = subprocess.run([UTILS / name, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 or "validate" in name, done.stderr
    after = digests(tmp_path, TABLES)
    assert {path: after.get(path) for path in before} == before
    for path, content in tables.items():  # what was replaced is still to be had
        kept = [p.read_text() for p in (path, path.parent / ".backup" / path.name) if p.is_file()]
        assert content in kept, path.name
    for wav in read_table(tmp_path / "old/wav.scp").values():
        assert soundfile.info(wav).frames == 1600
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_directory_of_a_tables_name_is_refused_before_anything_is_touched(tmp_path):
    write_directory(tmp_path, "one", ["a-1", "a-2"])
    old = write_directory(tmp_path, "old", ["b-1", "b-2"])
    (old / "text").unlink()
    (old / "text").mkdir()
    (old / "text/poem").write_text("mine\n")
    before = digests(tmp_path)
    for command in (["combine_data.sh", "old", "one"], ["subset_data_dir.sh", "--first", "one", "1", "old"]):
        done = subprocess.run([UTILS / command[0], *command[1:]], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and "old/text is a directory" in done.stderr, done.stderr
        assert digests(tmp_path) == before


def test_a_link_that_is_replaced_leaves_what_it_points_at(tmp_path):
    one, old = write_directory(tmp_path, "one", ["a-1"]), write_directory(tmp_path, "old", ["b-1"])
    (tmp_path / "shared").write_text("b-1 shared words\n")
    (old / "text").unlink()
    (old / "text").symlink_to("../shared")
    (one / "text").write_text("a-1 words\n")
    subprocess.run([UTILS / "combine_data.sh", old, one], check=True, capture_output=True)
    assert (tmp_path / "shared").read_text() == "b-1 shared words\n" == (old / ".backup/text").read_text()
    assert (old / "text").read_text() == "a-1 words\n" and not (old / "text").is_symlink()


def test_an_interrupted_replacement_leaves_everything(tmp_path):
    old = write_directory(tmp_path, "old", ["b-1"])
    before = digests(tmp_path)
    with pytest.raises(KeyboardInterrupt), staged(old) as staging:
        (staging / "text").write_text("half")
        raise KeyboardInterrupt
    assert digests(tmp_path) == before


def test_a_piece_is_not_written_over_what_it_is_of(tmp_path):
    (tmp_path / "keys").write_text("a 1\nb 2\n")
    done = subprocess.run(
        [UTILS / "split_scp.py", "keys", "one", "./keys"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "./keys would be written over keys" in done.stderr
    assert (tmp_path / "keys").read_text() == "a 1\nb 2\n" and not (tmp_path / "one").exists()


@pytest.fixture
def tools(tmp_path):
    """Tools of a checkout in a path with a blank, beside a directory of the name that is before it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work/thesis.txt").write_text("precious\n")
    root = tmp_path / "work 2/soundstorm"
    (root / "tools").mkdir(parents=True)
    for name in ("Makefile", "install.sh", "requirements.txt"):
        shutil.copy(UTILS.parent / "tools" / name, root / "tools")
    (root / "setup.py").write_text("")
    return root / "tools"


def make(tools, *words, **variables):
    environment = {**os.environ, **variables}
    return subprocess.run(["make", "-C", tools, *words], capture_output=True, text=True, env=environment)


@pytest.mark.skipif(shutil.which("make") is None, reason="make not installed")
def test_make_clean_removes_the_environment_and_nothing_else(tools, tmp_path):
    environment = tools.parent / ".venv"
    environment.mkdir()
    (environment / "mine").write_text("precious\n")
    done = make(tools, "clean")
    assert done.returncode != 0 and "is none that tools/install.sh made" in done.stderr
    assert (environment / "mine").exists()
    (environment / ".installed").write_text("")
    assert make(tools, "clean").returncode == 0
    assert not environment.exists() and (tmp_path / "work/thesis.txt").exists()


@pytest.fixture
def without_pip(tools):
    """Installs with a Python that makes environments of itself and installs torch alone; its calls are in `calls`."""
    python = tools.parent / "python"
    python.write_text(f"""#!/bin/sh
    echo "$@" >>calls
    case "$*" in
        "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
        *requirements.txt*) exit 1 ;;
        "-m pip"*) ;;
        *) exec {sys.executable} -I -S "$@" ;;
    esac
    """)
    python.chmod(0o755)
    return lambda **variables: make(tools, "install", PYTHON="./python", TORCH_DEVICE="cpu", **variables)


@pytest.mark.skipif(shutil.which("make") is None, reason="make not installed")
def test_an_install_that_failed_is_tried_again_and_removed_by_make_clean(tools, without_pip):
    calls = tools.parent / "calls"
    for compiler in ("true", "false"):
        calls.unlink(missing_ok=True)
        done = without_pip(CXX=compiler)
        assert done.returncode != 0 and "requirements.txt" in calls.read_text()
        assert ("false cannot compile for Python" in done.stderr) == (compiler == "false")
    assert make(tools, "clean").returncode == 0 and not (tools.parent / ".venv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make not installed")
def test_an_install_by_an_old_bash_says_which_is_needed(tools, without_pip):
    script = tools / "install.sh"
    assert "BASH_VERSINFO[0]" in script.read_text()
    script.write_text(script.read_text().replace("BASH_VERSINFO[0]", "3"))
    done = without_pip()
    assert done.returncode != 0 and "brew install bash" in done.stderr and not (tools.parent / "calls").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make not installed")
@pytest.mark.parametrize("target", ["install", "check"])
def test_make_knows_what_is_there_in_a_path_with_a_blank(tools, target):
    program = tools.parent / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "checked by $0"\n')
    program.chmod(0o755)
    (tools.parent / ".venv/.installed").write_text("")  # newer than all that it depends on
    done = make(tools, target)
    assert done.returncode == 0, done.stderr
    assert ("checked by ../.venv/bin/python" in done.stdout) == (target == "check")
