"""What repair tools drop is named with its reason; byte order marks never cost a line."""

import codecs
import subprocess
import sys

import pytest

from soundstorm.data.data_dir import read_table
from soundstorm.data.table_index import Lines

from .conftest import UTILS
from .test_data_dir_tools import COMBINE, COPY, FIX, SUBSET, drop, split_in_two

MARK = codecs.BOM_UTF8


def put_mark(path):
    path.write_bytes(MARK + path.read_bytes())


def append(path, lines):
    with path.open("a") as file:
        file.write(lines)


@pytest.mark.parametrize(
    "name, line, reason",
    [
        ("text", None, "utterance ben-1: not in text"),
        ("text", "ben-1", "utterance ben-1: empty in text"),
        ("utt2dur", "ben-1 0", "utterance ben-1: utt2dur has '0'"),
        ("utt2dur", "ben-1 long", "utterance ben-1: utt2dur has 'long'"),
        ("utt2spk", None, "utterance ben-1: not in utt2spk"),
        ("wav.scp", None, "utterance ben-1: not in wav.scp"),
    ],
)
def test_an_utterance_that_goes_is_named_with_the_reason(shell, good_dir, name, line, reason):
    drop(good_dir, name, "ben-1")
    append(good_dir / name, f"{line}\n" if line else "")
    done = shell(FIX, "data/all")
    assert done.returncode == 0 and f"fix_data_dir.sh: {reason}\n" in done.stderr
    assert reason in (good_dir / "log/fix_data_dir.log").read_text().splitlines()


def test_speakers_and_recordings_that_go_are_named(shell, segmented_dir):
    append(segmented_dir / "segments", "b-2 reco9 0 1\nb-3 reco2 2 1\n")
    append(segmented_dir / "wav.scp", "reco3 corpus/3.flac\n")
    append(segmented_dir / "utt2spk", "b-2 b\nb-3 b\n")
    append(segmented_dir / "text", "b-2 words\nb-3 words\nb-3 words\n")
    shell.write("data/long/spk2gender", "a m\nb m\nc f\n")
    done = shell(FIX, "data/long")
    assert (segmented_dir / "log/fix_data_dir.log").read_text().splitlines() == [
        "data/long/text, line 6: dropped, the same as an earlier line of b-3",
        "data/long/spk2utt: not the inverse of utt2spk, made anew",
        "utterance b-2: its recording reco9 not in wav.scp",
        "utterance b-3: segments has 'reco2 2 1'",
        "speaker c of spk2gender: no utterance of it is left",
        "recording reco3 of wav.scp: no utterance of it is left",
    ]
    assert done.returncode == 0 and "all of this is in data/long/log/fix_data_dir.log" in done.stderr


def test_a_speaker_that_a_file_lacks_is_the_reason(shell, good_dir):
    drop(good_dir, "spk2gender", "ben")
    assert "utterance ben-2: its speaker ben not in spk2gender" in shell(FIX, "data/all").stderr


def test_ten_are_shown_and_all_are_in_the_log(shell, good_dir):
    append(good_dir / "text", "".join(f"zoe-{n:02} words\n" for n in range(25)))
    done = shell(FIX, "data/all")
    assert done.stderr.count("utterance zoe-") == 10
    assert "... and 15 more\nfix_data_dir.sh: all of this is in data/all/log/fix_data_dir.log" in done.stderr
    assert len((good_dir / "log/fix_data_dir.log").read_text().splitlines()) == 25


def test_what_combining_drops_is_named_too(shell, good_dir):
    split_in_two(shell, good_dir)
    drop(shell.root / "data/first", "text", "anna-0")
    done = shell(COMBINE, "data/new", "data/first", "data/second")
    assert done.returncode == 0 and "utterance anna-0: not in text" in done.stderr
    assert (shell.root / "data/new/log/combine_data.log").read_text() == "utterance anna-0: not in text\n"


@pytest.mark.parametrize("line", ["zoe anna-0", "anna anna-0 anna-9", " x"])
def test_a_table_that_is_made_anew_is_named_where_it_was_wrong(shell, good_dir, line):
    (good_dir / "spk2utt").write_text(f"{line}\n")
    done = shell(FIX, "data/all")
    assert done.returncode == 0 and "data/all/spk2utt" in done.stderr and "made anew" in done.stderr


def test_where_nothing_goes_nothing_is_said(shell, good_dir):
    (good_dir / "spk2utt").unlink()
    done = shell(FIX, "data/all")
    assert (done.returncode, done.stderr) == (0, "") and not (good_dir / "log").exists()


# ---------------------------------------------------------------------------------------------------- byte order marks

TABLES = ("text", "wav.scp", "utt2spk", "utt2dur", "phones.ctm")


@pytest.mark.parametrize("name", TABLES)
def test_fixing_removes_a_byte_order_mark_with_a_word(shell, good_dir, name):
    before = read_table(good_dir / name)
    put_mark(good_dir / name)
    done = shell(FIX, "data/all")
    assert done.returncode == 0 and f"data/all/{name}, line 1: a byte order mark was removed" in done.stderr
    assert read_table(good_dir / name) == before and "kept 12 utterances out of 12" in done.stdout


def test_a_mark_between_files_that_were_joined_is_removed_too(shell, good_dir):
    text = (good_dir / "text").read_bytes().replace(b"cora-0 ", MARK + b"cora-0 ")
    (good_dir / "text").write_bytes(text)
    assert "kept 12 utterances out of 12" in shell(FIX, "data/all").stdout


@pytest.mark.parametrize("command", [[COPY], [SUBSET, "--first"], [COMBINE]])
def test_other_tools_lose_no_line_either(shell, good_dir, command):
    put_mark(good_dir / "text")
    source, dest = "data/all", "data/new"
    arguments = [dest, source] if command == [COMBINE] else [source, *(["12"] if len(command) > 1 else []), dest]
    done = shell(*command, *arguments)
    assert done.returncode == 0 and "a byte order mark was removed" in done.stderr
    assert len(read_table(shell.root / "data/new/text")) == 12


def test_a_name_with_a_blank_is_refused_before_all_that_would_follow_from_it(shell, good_dir):
    for name in ("utt2spk", "text", "wav.scp"):
        (good_dir / name).write_text((good_dir / name).read_text().replace("anna-", "anna "))
    for command in (FIX, "utils/validate_data_dir.sh"):
        done = shell(command, "data/all")
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
        assert "line 1: expected two fields, <utterance> <speaker>, got 'anna 0 anna'; names have no" in done.stderr


def test_a_list_may_begin_with_a_mark(shell, good_dir):
    shell.write("ids", "\ufeffben-1\ncora-0\n")
    done = shell(SUBSET, "--utt-list", "ids", "data/all", "data/new")
    assert done.returncode == 0 and "ids, line 1: a byte order mark was removed" in done.stderr
    assert list(read_table(shell.root / "data/new/utt2spk")) == ["ben-1", "cora-0"]


@pytest.mark.parametrize(
    "command",
    [
        ["validate_data_dir.sh", "data/all"],
        ["filter_scp.py", "data/all/text", "data/all/wav.scp"],
        ["filter_scp.py", "data/all/wav.scp", "data/all/text"],
        ["utt2spk_to_spk2utt.py", "data/all/text"],
        ["split_scp.py", "--utt2spk=data/all/text", "data/all/wav.scp", "one"],
    ],
)
def test_what_does_not_repair_refuses_a_mark(shell, good_dir, command):
    put_mark(good_dir / "text")
    done = shell(f"utils/{command[0]}", *command[1:])
    assert done.returncode == 1 and "byte order mark" in done.stderr and done.stdout == ""


def test_every_reader_of_tables_refuses_a_mark(tmp_path):
    (tmp_path / "text").write_text("\ufeffa-1 one\na-2 two\n", encoding="utf-8")
    for reader in (read_table, Lines):
        with pytest.raises(ValueError, match=r"text, line 1: has a byte order mark \(U\+FEFF\), .* made it from, with"):
            reader(tmp_path / "text")


def test_pieces_by_speaker_name_a_bad_line_of_utt2spk(tmp_path):
    (tmp_path / "utt2spk").write_text("a-1 a\n\na-2 a\n")
    (tmp_path / "keys").write_text("a-1 x\n")
    done = subprocess.run(
        [sys.executable, UTILS / "split_scp.py", f"--utt2spk={tmp_path}/utt2spk", tmp_path / "keys", tmp_path / "one"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "utt2spk, line 2: expected a key and its value" in done.stderr


PLACES = [("ben-1", "data/all/ben-1"), ("all", "data/all/anna-0"), ("long", "data/long/a-1")]


@pytest.mark.parametrize("name, place", PLACES)
def test_the_engine_finds_utterances_by_the_reader_of_tables(shell, good_dir, segmented_dir, name, place):
    (good_dir / "utt2spk").write_text((good_dir / "utt2spk").read_text().replace(" ", "\t"))
    assert shell("utils/data_dir_tool.py", "--dialogue-prompts", "data", name).stdout == f"{place}\n"


def test_an_utterance_that_is_nowhere_is_named_with_the_option(shell, good_dir):
    done = shell("utils/data_dir_tool.py", "--dialogue-exchange", "data", "zoe-1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "--dialogue-exchange: no utterance 'zoe-1' in data/*/utt2spk\n"
