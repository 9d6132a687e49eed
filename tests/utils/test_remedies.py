"""Every remedy that a message of the data tools names is tried as it stands, and then all is well."""

import re
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

VALIDATE, VALIDATE_WITH = "utils/validate_data_dir.sh data/all", "utils/validate_data_dir.sh {} data/all"
SPLIT = "utils/split_scp.py --utt2spk=data/all/utt2spk data/all/text"


class Case(NamedTuple):
    """A fault, the command that meets it, the remedy in its message, and the command after that.

    Attributes:
        file: What is edited.
        old, new: How; a file with nothing in it is removed.
        command: Fails.
        remedy: Pattern of its message whose group 1 bash runs.
        after: Runs then; empty: the same command again. `{}` is where group 1 goes.
    """

    file: str
    old: str
    new: str
    command: str
    remedy: str
    after: str = ""


CASES = {
    "unsorted": Case("text", r"\A(.*\n)(.*\n)", r"\2\1", VALIDATE, r"(utils/fix_data_dir.sh \S+)\)"),
    "newline": Case("utt2dur", r"\n\Z", "", VALIDATE, r"(utils/fix_data_dir.sh \S+)\)"),
    "missing key": Case("text", r"ben-1.*\n", "", VALIDATE, r"(utils/fix_data_dir.sh \S+),"),
    "inverse": Case("spk2utt", r"ben-1 ", "", VALIDATE, r"run (utils/utt2spk_to_spk2utt.py \S+ > \S+)"),
    "mark": Case("text", r"\A", "\ufeff", VALIDATE, r"(sed -i .*)"),
    "windows": Case("text", r"\n", "\r\n", VALIDATE, r"(sed -i .*)"),
    "repeated": Case(
        "utt2spk", r"\A(.*\n)", r"\1\1", f"{SPLIT} /dev/null",
        r"(utils/fix_data_dir.sh) drops", f"{{}} data/all && {SPLIT} x",
    ),
    "no text": Case("text", r"(?s)\A.*", "", VALIDATE, r"specify (--no-text)", VALIDATE_WITH),
    "no wav": Case("wav.scp", r"(?s)\A.*", "", VALIDATE, r"specify (--no-wav)", VALIDATE_WITH),
    "print": Case("text", "WORDS", "WO\u200bRDS", VALIDATE, r"(--non-print)", VALIDATE_WITH),
    "pipe": Case(
        "wav.scp", r"(ben-1) (.*)", r"\1 cat \2 |", VALIDATE, r"by (utils/format_wav_scp.sh --allow-pipes true),",
        "{} data/all data/all && " + VALIDATE,
    ),
    "ark": Case(
        "wav.scp", r"(ben-1) .*", r"\1 audio.ark:6", VALIDATE, r"by (utils/format_wav_scp.sh),",
        "{} data/all data/all && " + VALIDATE,
    ),
    "durations": Case(
        "utt2dur", r"(?s)\A.*", "", "utils/subset_data_dir.sh --shortest data/all 3 data/new",
        r"run (utils/get_utt2dur.sh \S+)",
    ),
    "jobs": Case(
        "text", "zzz", "", "utils/split_scp.py data/all/text " + " ".join(f"x{n}" for n in range(13)),
        r"smaller than the number of lines \((12)\)", "utils/split_scp.py data/all/text x{{1..{}}}",
    ),
}  # fmt: skip


@pytest.fixture
def audio(shell, good_dir):
    """The directory with real recordings, and one of them in an archive."""
    for name in (good_dir / "utt2spk").read_text().split()[::2]:
        path = shell.root / f"corpus/{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 1600), 16000)
    (shell.root / "audio.ark").write_bytes(b"ben-1 " + path.read_bytes())
    for name in ("semantic.scp", "semantic.json", "phones.ctm", "utt2num_frames"):
        (good_dir / name).unlink()
    return good_dir


def bash(shell, command, locale="C.UTF-8"):
    return shell("bash", "-ec", command, env={"LC_ALL": locale})


@pytest.mark.parametrize("locale", ["C", pytest.param("C.UTF-8", marks=pytest.mark.integration)])
@pytest.mark.parametrize("name", CASES)
def test_the_remedy_of_a_message_works(shell, audio, name, locale):
    case = CASES[name]
    content = re.sub(case.old, case.new, (audio / case.file).read_text(encoding="utf-8"))
    (audio / case.file).write_bytes(content.encode()) if content else (audio / case.file).unlink()
    done = bash(shell, case.command, locale)
    assert done.returncode == 1, done.stdout
    found = re.search(case.remedy, done.stderr)
    assert found, done.stderr
    tried = bash(shell, case.after.format(found[1]) if case.after else f"{found[1]}\n{case.command}", locale)
    assert tried.returncode == 0, f"{found[1]}: {tried.stderr}"


@pytest.mark.parametrize("encoding, option", [("utf-16", "-f UTF-16"), ("cp1252", "-f WINDOWS-1252")])
def test_another_encoding_is_converted_as_the_message_says(shell, audio, encoding, option):
    text = (audio / "text").read_text().replace("WORDS", "WÖRTER")
    (audio / "text").write_bytes(text.encode(encoding))
    done = bash(shell, VALIDATE)
    remedy = re.search(r"with (iconv -f UTF-16 -t UTF-8 \S+), or (-f WINDOWS-1252)", done.stderr)
    assert done.returncode == 1 and remedy
    command = remedy[1].replace("-f UTF-16", option)
    assert bash(shell, f"{command} > new; mv new data/all/text; {VALIDATE}").returncode == 0
    assert (audio / "text").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("other", ["anna-.b", "anna+b"])
def test_speakers_that_begin_alike_are_renamed_as_the_message_says(shell, audio, other):
    def rename(speaker, new):
        for name in ("utt2spk", "text", "wav.scp", "utt2dur", "spk2gender"):
            content = (audio / name).read_text().replace(f"{speaker}-", f"{new}-")
            (audio / name).write_text(re.sub(rf" {re.escape(speaker)}$|^{re.escape(speaker)} ",
                                             lambda m: m[0].replace(speaker, new), content, flags=re.MULTILINE))

    rename("ben", other)
    done = bash(shell, "utils/fix_data_dir.sh data/all")
    assert done.returncode == 1
    assert f"anna-0 of anna comes after {other}" in done.stderr and "write '_' for '-' and '+'" in done.stderr
    rename(other, other.replace("-", "_").replace("+", "_"))
    assert bash(shell, f"utils/fix_data_dir.sh data/all && {VALIDATE}").returncode == 0


def test_a_set_that_is_in_two_sources_is_renamed_as_the_message_says(shell, audio):
    bash(shell, "utils/copy_data_dir.sh data/all data/other")
    combine = "utils/combine_data.sh data/new data/all {}"
    done = bash(shell, combine.format("data/other"))
    remedy = re.search(r"(utils/copy_data_dir.sh .*) <new directory>", done.stderr)
    assert done.returncode == 1 and remedy, done.stderr
    assert bash(shell, f"{remedy[1]} data/renamed && {combine.format('data/renamed')}").returncode == 0
    assert bash(shell, "utils/validate_data_dir.sh data/new").returncode == 0
