"""Our tools and Kaldi's side by side on the same inputs: KALDI_ROOT=... pytest tests/utils -m kaldi."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

KALDI = Path(os.environ.get("KALDI_ROOT", "")) / "egs/wsj/s5/utils"

pytestmark = pytest.mark.kaldi


@pytest.fixture
def kaldi(shell, monkeypatch):
    """Run one of Kaldi's scripts in the shell's directory; skip where this checkout has no such script."""
    # Its shell scripts call each other as utils/..., so they get a directory of their own.
    (shell.root / "theirs").mkdir()
    (shell.root / "theirs/utils").symlink_to(KALDI)
    (shell.root / "theirs/path.sh").write_text("")
    (shell.root / "theirs/data").symlink_to("../data")
    monkeypatch.setenv("PATH", f"{KALDI}:{KALDI}/parallel:{os.environ['PATH']}")

    def run(script, *arguments, folder=".", **options):
        if not (KALDI / script).exists():
            pytest.skip(f"there is no {KALDI / script}")
        return shell("bash", "-c", f'cd {folder} && "$0" "$@"', KALDI / script, *arguments, **options)

    return run


def utt2spk(shell, seed, num_speakers=9):
    """Write a file of speakers with different numbers of utterances."""
    generator = random.Random(seed)
    lines = [f"s{s}-{u:02} s{s}\n" for s in range(num_speakers) for u in range(generator.randint(1, 12))]
    shell.write("utt2spk", "".join(lines))
    return len(lines)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", [[], ["--utt2spk=utt2spk"]])
@pytest.mark.parametrize("pieces", [1, 2, 4, 7])
def test_split_scp_makes_the_same_pieces(shell, kaldi, seed, options, pieces):
    utt2spk(shell, seed)
    names = [str(piece) for piece in range(pieces)]
    for who in ("ours", "kaldis"):
        (shell.root / who).mkdir()
    theirs = kaldi("split_scp.pl", *options, "utt2spk", *[f"kaldis/{name}" for name in names])
    ours = shell("utils/split_scp.py", *options, "utt2spk", *[f"ours/{name}" for name in names])
    assert ours.returncode == theirs.returncode == 0
    for name in names:
        assert (shell.root / "ours" / name).read_text() == (shell.root / "kaldis" / name).read_text()


@pytest.mark.parametrize("options", [["-j", "3", "0"], ["-j", "3", "2"], ["-j", "3", "3", "--one-based"]])
def test_split_scp_writes_the_same_single_piece(shell, kaldi, options):
    utt2spk(shell, seed=0)
    theirs = kaldi("split_scp.pl", *options, "utt2spk")
    assert shell("utils/split_scp.py", *options, "utt2spk").stdout == theirs.stdout != ""


@pytest.mark.parametrize("options", [[], ["--exclude"], ["-f", "2"], ["-f", "2", "--exclude"]])
def test_filter_scp_keeps_the_same_lines(shell, kaldi, options):
    utt2spk(shell, seed=0)
    shell.write("ids", "s1-00 x\ns3-01\ns4\n")
    theirs = kaldi("filter_scp.pl", *options, "ids", "utt2spk")
    assert shell("utils/filter_scp.py", *options, "ids", "utt2spk").stdout == theirs.stdout != ""


def test_spk2utt_is_the_same(shell, kaldi):
    utt2spk(shell, seed=0)
    theirs = kaldi("utt2spk_to_spk2utt.pl", "utt2spk")
    assert shell("utils/utt2spk_to_spk2utt.py", "utt2spk").stdout == theirs.stdout != ""


@pytest.mark.parametrize("number", [1, 2, 3, 5, 11, 12])
@pytest.mark.parametrize("option", [[], ["--first"], ["--last"]])
def test_subset_chooses_the_same_utterances(shell, kaldi, good_dir, number, option):
    theirs = kaldi("subset_scp.pl", *option, number, "data/all/utt2spk")
    assert shell("utils/subset_data_dir.sh", *option, "data/all", number, "data/new").returncode == 0
    assert (shell.root / "data/new/utt2spk").read_text() == theirs.stdout


@pytest.mark.parametrize("faults", [[], ["text"], ["wav.scp"], ["utt2dur"], ["spk2gender"]])
def test_fix_keeps_the_same_utterances(shell, kaldi, good_dir, faults):
    for name in ("semantic.scp", "semantic.json", "phones.ctm"):
        (good_dir / name).unlink()
    for name in faults:
        lines = (good_dir / name).read_text().splitlines(keepends=True)
        (good_dir / name).write_text("".join(lines[:1] + lines[2:]))
    (shell.root / "theirs/data").unlink()
    assert shell("cp", "-r", "data", "theirs/data").returncode == 0
    theirs = kaldi("fix_data_dir.sh", "data/all", folder="theirs")
    ours = shell("utils/fix_data_dir.sh", "data/all")
    assert (ours.returncode, theirs.returncode) == (0, 0), theirs.stderr
    for path in good_dir.iterdir():
        if path.is_file():
            assert path.read_text() == (shell.root / "theirs/data/all" / path.name).read_text(), path.name


@pytest.mark.parametrize("fault", ["", "s/^ben-1 .*//;/^$/d", "$s/$/ </s>/", "1{h;d};$G"])
def test_validate_accepts_and_refuses_the_same_transcripts(shell, kaldi, good_dir, fault):
    for name in ("semantic.scp", "semantic.json", "phones.ctm"):
        (good_dir / name).unlink()
    if fault:
        assert shell("sed", "-i", fault.replace("</s>", r"<\/s>"), "data/all/text").returncode == 0
    theirs = kaldi("validate_data_dir.sh", "--no-feats", "data/all", folder="theirs")
    ours = shell("utils/validate_data_dir.sh", "--no-feats", "data/all")
    assert ours.returncode == theirs.returncode == (1 if fault else 0), theirs.stderr


OPTIONS = [
    *[[], ["--nj", "8"], ["--foo-bar", "V"], ["--nj", "-3"], ["--nj", "1", "--nj", "2"], ["--name", ""]],
    *[
        ["--nj", "8", "data", "--nj", "9"],
        ["--flag", "true"],
        ["--flag", "True"],
        ["--bogus", "1"],
        ["--cmd", ""],
    ],
]


@pytest.mark.parametrize("arguments", OPTIONS)
def test_parse_options_reads_the_same(shell, kaldi, arguments):
    body = 'nj=4; foo_bar=x; name=; flag=false; cmd=run.pl; . "${SOURCE}"; echo "$nj $foo_bar $name $flag $cmd $*"'
    shell.write("x.sh", body)
    if not (KALDI / "parse_options.sh").exists():
        pytest.skip("there is no parse_options.sh")
    theirs, ours = (
        shell("bash", "x.sh", *arguments, env={"SOURCE": str(source)})
        for source in (KALDI / "parse_options.sh", "utils/parse_options.sh")
    )
    assert ours.returncode == theirs.returncode
    assert theirs.returncode or ours.stdout == theirs.stdout


COMMANDS = [
    ["echo", "hello"],
    ["echo", "a", r"\|", "tr", "a", "b"],
    ["echo", "a", "|", "tr", "a", "b"],
    ["printf", "%s", "'a;b'"],
    ["echo", "two words"],
    ["exit", "3"],
    ["test", "JOB", "-lt", "2"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_run_ends_the_same_and_logs_the_same_ending(shell, kaldi, command):
    theirs = kaldi("parallel/run.pl", "JOB=1:2", "theirs/x.JOB.log", *command)
    ours = shell("utils/run.py", "JOB=1:2", "ours/x.JOB.log", *command)
    assert ours.returncode == theirs.returncode
    for job in (1, 2):
        logs = [(shell.root / who / f"x.{job}.log").read_text() for who in ("ours", "theirs")]
        endings = [
            re.findall(r"^# (?:Ended \(code \d+\)|Accounting: time=)", log, re.MULTILINE) for log in logs
        ]
        outputs = [[line for line in log.splitlines() if not line.startswith("#")] for log in logs]
        assert endings[0] == endings[1] and outputs[0] == outputs[1]
