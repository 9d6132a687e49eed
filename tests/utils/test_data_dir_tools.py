"""fix, copy, subset, combine and get_utt2dur on whole directories."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from soundstorm.data import data_dir_edit
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.data_dir_check import validate_data_dir
from soundstorm.data.data_dir_derive import publish
from soundstorm.data.data_dir_edit import fix_data_dir, keep, read_contents

FIX, COPY, SUBSET, COMBINE = (
    f"utils/{name}.sh" for name in ("fix_data_dir", "copy_data_dir", "subset_data_dir", "combine_data")
)


def contents(directory):
    """All files of a directory, and what is in them."""
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


def break_order(directory):
    """Shuffle the lines of every file and repeat some."""
    generator = random.Random(0)
    for path in directory.iterdir():
        if path.suffix != ".json" and path.name != "phones.ctm":
            lines = path.read_text().splitlines(keepends=True)
            lines += generator.choices(lines, k=2)
            generator.shuffle(lines)
            path.write_text("".join(lines))


def drop(directory, name, key):
    """Remove the lines of one key."""
    lines = (directory / name).read_text().splitlines(keepends=True)
    (directory / name).write_text("".join(line for line in lines if line.split()[0] != key))


# ---------------------------------------------------------------------------------------------------------------- fix


def test_fix_sorts_and_drops_repeated_lines(shell, good_dir):
    before = contents(good_dir)
    break_order(good_dir)
    done = shell(FIX, "data/all")
    assert (done.returncode, contents(good_dir)) == (0, before)
    assert "kept 12 utterances out of 12; old files are kept in data/all/.backup" in done.stdout


def test_fix_keeps_the_old_files(shell, good_dir):
    break_order(good_dir)
    before = contents(good_dir)
    shell(FIX, "data/all")
    backup = contents(good_dir / ".backup")
    assert {name: backup[name] for name in before if name != "spk2utt"} == {
        name: content for name, content in before.items() if name != "spk2utt"
    }


def test_fix_leaves_a_good_directory_and_its_backup_alone(shell, good_dir):
    break_order(good_dir)
    shell(FIX, "data/all")
    times = {path: path.stat().st_mtime_ns for path in good_dir.rglob("*")}
    assert "nothing to fix" in shell(FIX, "data/all").stdout
    assert {path: path.stat().st_mtime_ns for path in good_dir.rglob("*")} == times


@pytest.mark.parametrize("name", ["text", "wav.scp", "utt2dur", "utt2num_frames", "semantic.scp", "utt2spk"])
def test_fix_keeps_the_utterances_that_every_file_has(shell, good_dir, name):
    drop(good_dir, name, "ben-1")
    done = shell(FIX, "data/all")
    assert done.returncode == 0, done.stderr
    assert "filtered data/all/phones.ctm from 12 to 11 lines" in done.stderr
    assert "kept 11 utterances" in done.stdout or name == "utt2spk"
    assert validate_data_dir(good_dir).num_utterances == 11
    assert "ben-1" not in "".join(contents(good_dir).values())


@pytest.mark.parametrize(
    "name, line", [("utt2dur", "ben-1 0"), ("utt2num_frames", "ben-1 0"), ("text", "ben-1")]
)
def test_fix_drops_what_is_there_but_empty(shell, good_dir, name, line):
    drop(good_dir, name, "ben-1")
    with (good_dir / name).open("a") as file:
        file.write(line + "\n")
    shell(FIX, "data/all")
    assert validate_data_dir(good_dir).num_utterances == 11


def test_fix_drops_speakers_that_a_file_of_speakers_lacks(shell, good_dir):
    drop(good_dir, "spk2gender", "ben")
    shell(FIX, "data/all")
    assert list(read_table(good_dir / "spk2utt")) == ["anna", "cora"]


def test_fix_rebuilds_spk2utt_whatever_was_there(shell, good_dir):
    expected = contents(good_dir)["spk2utt"]
    (good_dir / "spk2utt").write_text("zoe anna-0\nzoe ben-0\n")
    shell(FIX, "data/all")
    assert contents(good_dir)["spk2utt"] == expected


def test_fix_filters_recordings_and_segments_by_each_other(shell, segmented_dir):
    with (segmented_dir / "segments").open("a") as file:
        file.write("b-2 reco9 0 1\nb-3 reco2 2 1\n")
    with (segmented_dir / "wav.scp").open("a") as file:
        file.write("reco3 corpus/3.flac\n")
    for name, value in (("utt2spk", "b"), ("text", "words")):
        with (segmented_dir / name).open("a") as file:
            file.write(f"b-2 {value}\nb-3 {value}\n")
    assert "kept 3 utterances out of 5" in shell(FIX, "data/long").stdout
    assert list(read_table(segmented_dir / "wav.scp")) == ["reco1", "reco2"]
    validate_data_dir(segmented_dir)


def test_fix_filters_extra_files_without_heeding_what_they_lack(shell, good_dir):
    shell.write("data/all/utt2age", "ben-1 30\nanna-0 20\n")
    shell.write("data/all/spk2town", "zoe Rome\nben Oslo\n")
    drop(good_dir, "text", "ben-1")
    done = shell(FIX, "--utt-extra-files", "utt2age utt2none", "--spk-extra-files", "spk2town", "data/all")
    assert done.returncode == 0, done.stderr
    assert (contents(good_dir)["utt2age"], contents(good_dir)["spk2town"]) == ("anna-0 20\n", "ben Oslo\n")


@pytest.mark.parametrize(
    "name, line, message",
    [
        (
            "text",
            "ben-1 OTHER WORDS",
            "text: ben-1 has two values, 'THE WORDS OF ben-1' and 'OTHER WORDS'; delete",
        ),
        ("utt2spk", "zoe-1 anna", "not by speaker, fix this yourself"),
    ],
)
def test_fix_refuses_what_it_cannot_repair_and_changes_nothing(shell, good_dir, name, line, message):
    with (good_dir / name).open("a") as file:
        file.write(line + "\n")
    if name == "utt2spk":
        for other in ("text", "wav.scp", "utt2dur", "utt2num_frames", "semantic.scp"):
            with (good_dir / other).open("a") as file:
                file.write("zoe-1 5:5\n" if other == "semantic.scp" else "zoe-1 5\n")
    before = contents(good_dir)
    done = shell(FIX, "data/all")
    assert done.returncode == 1
    assert message in done.stderr
    assert contents(good_dir) == before
    assert not (good_dir / ".backup").exists()


def test_fix_fails_where_nothing_would_be_left(shell, good_dir):
    shell.write("data/all/text", "zoe-0 WORDS\n")
    done = shell(FIX, "data/all")
    assert done.returncode == 1 and "nothing would be left" in done.stderr


@pytest.mark.parametrize("seed", range(20))
def test_fixing_twice_is_fixing_once_and_the_result_is_valid(good_dir, seed):
    generator = random.Random(seed)
    for path in sorted(good_dir.iterdir()):
        if path.suffix != ".json" and path.name != "spk2utt":
            lines = path.read_text().splitlines(keepends=True)
            keys = generator.sample([line.split()[0] for line in lines], k=generator.randint(0, 1))
            path.write_text("".join(line for line in lines if line.split()[0] not in keys))
    break_order(good_dir)
    fix_data_dir(good_dir)
    validate_data_dir(good_dir)
    once = contents(good_dir)
    assert not fix_data_dir(good_dir).changed
    assert contents(good_dir) == once


# --------------------------------------------------------------------------------------------------------------- copy


def test_copy_makes_the_same_files(shell, good_dir):
    done = shell(COPY, "data/all", "data/new")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(shell.root / "data/new") == contents(good_dir)


def test_copy_renames_utterances_and_speakers_everywhere(shell, good_dir):
    options = "--utt-prefix p- --utt-suffix -s --spk-prefix p- --spk-suffix -t".split()
    assert shell(COPY, *options, "data/all", "data/new").returncode == 0
    new = shell.root / "data/new"
    assert read_table(new / "spk2utt")["p-ben-t"] == "p-ben-0-s p-ben-1-s p-ben-2-s"
    assert read_table(new / "wav.scp")["p-ben-1-s"] == "corpus/ben-1.wav"
    assert "p-ben-1-s 1 0.5 0.5 a\n" in contents(new)["phones.ctm"]
    assert read_table(new / "spk2gender")["p-ben-t"] == "m"


def test_copy_never_renames_recordings(shell, segmented_dir):
    assert shell(COPY, "--utt-prefix", "a-", "--spk-prefix", "a-", "data/long", "data/new").returncode == 0
    new = shell.root / "data/new"
    assert list(read_table(new / "wav.scp")) == list(read_table(new / "reco2dur")) == ["reco1", "reco2"]
    assert read_table(new / "segments")["a-a-1"] == "reco1 0 2.5"


def test_copy_moves_stale_files_away(shell, good_dir):
    shell.write("data/new/feats.scp", "old\n")
    shell.write("data/new/acoustic.json", "{}")
    shell.write("data/new/notes", "mine\n")
    assert shell(COPY, "data/all", "data/new").returncode == 0
    new = shell.root / "data/new"
    assert contents(new / ".backup") == {"feats.scp": "old\n", "acoustic.json": "{}"}
    assert contents(new)["notes"] == "mine\n"


def test_copy_keeps_what_it_replaces(shell, good_dir):
    shell.write("data/new/text", "old words\n")
    assert shell(COPY, "data/all", "data/new").returncode == 0
    assert contents(shell.root / "data/new/.backup") == {"text": "old words\n"}


def test_copy_asks_only_for_the_files_the_source_has(shell, good_dir):
    for name in ("text", "wav.scp"):
        (good_dir / name).unlink()
    assert shell(COPY, "data/all", "data/new").returncode == 0


def test_copy_writes_nothing_that_is_not_valid(shell, good_dir):
    shell.write("data/new/text", "old\n")
    done = shell(COPY, "--validate-opts", "--require acoustic.scp", "data/all", "data/new")
    assert done.returncode == 1
    assert "no such file data/new/acoustic.scp" in done.stderr
    assert "data/new would not be valid; it was left as it is" in done.stderr
    assert contents(shell.root / "data/new") == {"text": "old\n"}
    assert [path.name for path in (shell.root / "data/new").iterdir()] == ["text"]


def test_copy_refuses_to_copy_onto_itself(shell, good_dir):
    done = shell(COPY, "data/all", "data/../data/all")
    assert done.returncode == 1 and "are one directory" in done.stderr


# ------------------------------------------------------------------------------------------------------------- subset


@pytest.mark.parametrize(
    "options, expected",
    [
        (["data/all", "3"], "ben-1 cora-1 cora-4"),
        (["--first", "data/all", "2"], "anna-0 anna-1"),
        (["--last", "data/all", "2"], "cora-3 cora-4"),
        (["--shortest", "data/all", "3"], "anna-0 anna-2 cora-0"),
        (["--per-spk", "data/all", "2"], "anna-0 anna-2 ben-0 ben-1 cora-0 cora-2"),
    ],
)
def test_subset_chooses_by_its_mode(shell, good_dir, options, expected):
    done = shell(SUBSET, *options, "data/new")
    assert done.returncode == 0, done.stderr
    assert list(read_table(shell.root / "data/new/utt2spk")) == expected.split()
    assert done.stdout == f"subset_data_dir.sh: reducing #utt from 12 to {len(expected.split())}\n"


@pytest.mark.parametrize("option, ids", [("--utt-list", "ben-1 x\ncora-0\n"), ("--spk-list", "cora\n")])
def test_subset_takes_the_ids_of_a_list(shell, good_dir, option, ids):
    shell.write("ids", ids)
    assert shell(SUBSET, option, "ids", "data/all", "data/new").returncode == 0
    expected = ["ben-1", "cora-0"] if option == "--utt-list" else [f"cora-{n}" for n in range(5)]
    assert list(read_table(shell.root / "data/new/utt2spk")) == expected


def test_subset_warns_of_listed_ids_that_are_not_there(shell, good_dir):
    shell.write("ids", "ben-1\nzoe-1\n")
    assert (
        "1 of 2 in ids are not in data/all, e.g. zoe-1"
        in shell(SUBSET, "--utt-list", "ids", "data/all", "data/new").stderr
    )


def test_subset_draws_whole_speakers_by_seed(shell, good_dir):
    drawn = []
    for seed in ("0", "0", "1", "2", "3"):
        assert shell(SUBSET, "--speakers", "--seed", seed, "data/all", "4", "data/new").returncode == 0
        drawn.append(contents(shell.root / "data/new")["spk2utt"])
    full = contents(good_dir)["spk2utt"]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
    assert all(line in full for lines in drawn for line in lines.splitlines())


def test_subset_filters_every_file(shell, good_dir):
    shell(SUBSET, "--first", "data/all", "4", "data/new")
    new = contents(shell.root / "data/new")
    assert set(new) == set(contents(good_dir))
    assert new["semantic.json"] == contents(good_dir)["semantic.json"]
    assert all("ben" not in content and "cora" not in content for content in new.values())


def test_subset_keeps_only_recordings_still_used(shell, segmented_dir):
    assert shell(SUBSET, "--last", "data/long", "1", "data/new").returncode == 0
    new = shell.root / "data/new"
    assert list(read_table(new / "wav.scp")) == list(read_table(new / "reco2dur")) == ["reco2"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["data/all", "13", "data/new"], "cannot take 13 utterances of data/all, which has 12"),
        (["data/all", "0", "data/new"], "<n> must be a positive whole number, got '0'"),
        (["--first", "--last", "data/all", "2", "data/new"], "--first and --last cannot be given together"),
        (["--randomly", "data/all", "2", "data/new"], "unknown option --randomly"),
        (["data/all", "data/new"], "expected <source-dir> <n> <destination-dir>"),
        (["--utt-list", "none", "data/all", "data/new"], "no such file none"),
        (["data/all", "2", "data/all"], "are one directory"),
    ],
)
def test_subset_refuses_what_it_cannot_do(shell, good_dir, arguments, message):
    done = shell(SUBSET, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (shell.root / "data/new").exists()


def test_subset_by_length_needs_durations(shell, good_dir):
    (good_dir / "utt2dur").unlink()
    done = shell(SUBSET, "--shortest", "data/all", "2", "data/new")
    assert done.returncode == 1 and "run utils/get_utt2dur.sh data/all" in done.stderr


# ------------------------------------------------------------------------------------------------------------ combine


def split_in_two(shell, good_dir):
    whole = read_contents(good_dir)
    for name, speakers in (("first", ["anna"]), ("second", ["ben", "cora"])):
        chosen = [utterance for utterance, speaker in whole.tables["utt2spk"].items() if speaker in speakers]
        publish(keep(whole, chosen), good_dir, shell.root / "data" / name)


def test_combining_what_was_split_gives_the_same_directory(shell, good_dir):
    split_in_two(shell, good_dir)
    done = shell(COMBINE, "data/new", "data/second", "data/first")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(shell.root / "data/new") == contents(good_dir)


def test_combining_leaves_out_files_that_not_all_have(shell, good_dir):
    split_in_two(shell, good_dir)
    (shell.root / "data/first/text").unlink()
    done = shell(COMBINE, "data/new", "data/first", "data/second")
    assert "**not combining text as it does not exist everywhere**" in done.stderr
    assert not (shell.root / "data/new/text").exists()


def test_combining_replaces_an_older_directory(shell, good_dir):
    split_in_two(shell, good_dir)
    shell.write("data/new/utt2spk", "old old\n")
    shell.write("data/new/feats.scp", "old x:1\n")
    shell.write("data/new/notes", "mine\n")
    assert shell(COMBINE, "data/new", "data/first", "data/second").returncode == 0
    new = shell.root / "data/new"
    assert contents(new) == {**contents(good_dir), "notes": "mine\n"}
    assert contents(new / ".backup") == {"utt2spk": "old old\n", "feats.scp": "old x:1\n"}
    assert sorted(path.name for path in (shell.root / "data").iterdir()) == ["all", "first", "new", "second"]


def test_combining_makes_segments_up_where_one_source_has_none(shell, good_dir, segmented_dir):
    for name in list(contents(good_dir)):
        if name not in ("wav.scp", "utt2spk", "spk2utt", "text", "utt2dur"):
            (good_dir / name).unlink()
    assert shell(COMBINE, "data/new", "data/all", "data/long").returncode == 0
    new = shell.root / "data/new"
    assert read_table(new / "segments")["anna-0"] == "anna-0 0 1.25"
    validate_data_dir(new)
    (good_dir / "utt2dur").unlink()
    assert "run utils/get_utt2dur.sh data/all" in shell(COMBINE, "data/new", "data/all", "data/long").stderr


def test_combining_fixes_unless_told_not_to(shell, good_dir):
    split_in_two(shell, good_dir)
    drop(shell.root / "data/first", "text", "anna-0")
    shell(COMBINE, "data/fixed", "data/first", "data/second")
    shell(COMBINE, "--skip-fix", "true", "data/raw", "data/first", "data/second")
    assert len(read_table(shell.root / "data/fixed/utt2spk")) == 11
    assert len(read_table(shell.root / "data/raw/utt2spk")) == 12


def test_combining_takes_extra_files_along(shell, good_dir):
    split_in_two(shell, good_dir)
    shell.write("data/first/utt2age", "anna-0 20\n")
    shell.write("data/second/utt2age", "ben-0 30\n")
    shell(COMBINE, "--extra-files", "utt2age", "data/new", "data/second", "data/first")
    assert (shell.root / "data/new/utt2age").read_text() == "anna-0 20\nben-0 30\n"


def change_one(shell, name, old, new):
    path = shell.root / "data/second" / name
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    "prepare, arguments, message",
    [
        (
            None,
            ["data/new", "data/all", "data/first"],
            "utterance anna-0 is both in data/all and in data/first",
        ),
        (None, ["data/all", "data/all", "data/first"], "the destination data/all is a source"),
        (None, ["data", "data/first", "data/second"], "data exists and is no data directory"),
        (None, ["data/new", "data/first", "data/first/"], "a source is given twice"),
        (None, ["data/new"], "expected <destination-dir> and at least one source"),
        (None, ["notes", "data/first"], "notes exists and is no data directory"),
        (
            ("semantic.json", "hubert", "wavlm"),
            ["data/new", "data/first", "data/second"],
            "are not of one tokenizer",
        ),
        (
            ("spk2gender", "cora f", "anna m"),
            ["data/new", "data/first", "data/second"],
            "spk2gender says 'f' of anna",
        ),
    ],
)
def test_combining_refuses_what_does_not_go_together(shell, good_dir, prepare, arguments, message):
    split_in_two(shell, good_dir)
    shell.write("notes/mine", "x\n")
    if prepare:
        change_one(shell, *prepare)
    done = shell(COMBINE, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert (shell.root / "notes/mine").exists() and not (shell.root / "data/new").exists()
    assert len(read_table(shell.root / "data/first/utt2spk")) == 4


# -------------------------------------------------------------------------------------------------------- get_utt2dur


CHECKING = ("utils/get_utt2dur.sh", "--nj", "1", "--check-samples", "true")


@pytest.fixture
def audio_dir(shell):
    """A directory of ten real audio files without durations."""
    soundfile = pytest.importorskip("soundfile")
    (shell.root / "corpus").mkdir()
    for number in range(10):
        soundfile.write(shell.root / f"corpus/{number}.wav", [0.0] * (1600 * (number + 1)), 16000)
    shell.write("data/x/wav.scp", "".join(f"a-{n} corpus/{n}.wav\n" for n in range(10)))
    shell.write("data/x/utt2spk", "".join(f"a-{n} a\n" for n in range(10)))
    return shell.root / "data/x"


def test_durations_come_from_headers(shell, audio_dir):
    done = shell("utils/get_utt2dur.sh", "--nj", "3", "data/x")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("made data/x/utt2dur from the headers of 10 files\n")
    assert read_table(audio_dir / "utt2dur") == {f"a-{n}": f"{(n + 1) / 10:g}" for n in range(10)}
    assert sorted(path.name for path in (audio_dir / "log").iterdir()) == [
        f"get_utt2dur.{job}.log" for job in (1, 2, 3)
    ]


def test_durations_that_are_complete_are_left_alone(shell, audio_dir):
    shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")
    shell.write("data/x/utt2dur", "".join(f"a-{n} 7\n" for n in range(10)))
    shutil.rmtree(shell.root / "corpus")  # nothing is looked at again
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")
    assert done.returncode == 0 and "is there already" in done.stdout
    assert set(read_table(audio_dir / "utt2dur").values()) == {"7"}


def test_durations_that_were_never_compared_with_the_audio_are(shell, audio_dir):
    shell.write("data/x/utt2dur", "".join(f"a-{n} {'7' if n < 2 else f'{(n + 1) / 10:.4f}'}\n" for n in range(10)))
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")
    assert done.returncode == 0 and "a-0 lasts 0.1 s, not 7 as utt2dur had it" in done.stderr
    assert list(read_table(audio_dir / "utt2dur").values())[:3] == ["0.1", "0.2", "0.3000"]
    assert set(read_table(audio_dir / "utt2rate").values()) == {"16000"}


@pytest.fixture
def cut_dir(shell, segmented_dir):
    """The directory of segments with its recordings."""
    soundfile = pytest.importorskip("soundfile")
    (shell.root / "corpus").mkdir()
    for number, seconds in ((1, 10), (2, 4.5)):
        soundfile.write(shell.root / f"corpus/{number}.flac", [0.1, 0.0] * int(8000 * seconds), 16000)
    (segmented_dir / "reco2dur").unlink()
    return segmented_dir


def test_durations_come_from_segments_where_there_are_some(shell, cut_dir):
    assert shell("utils/get_utt2dur.sh", "--nj", "1", "data/long").returncode == 0
    assert read_table(cut_dir / "utt2dur") == {"a-1": "2.5", "a-2": "7.5", "b-1": "4"}
    assert read_table(cut_dir / "reco2dur") == {"reco1": "10", "reco2": "4.5"}


def test_segments_to_the_end_and_a_little_beyond_it_are_cut_there(shell, cut_dir, monkeypatch):
    shell.write("data/long/segments", "a-1 reco1 0 -1\na-2 reco1 2.5 10.2\nb-1 reco2 0.5 -1\n")
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/long")
    assert "a-2 ends 0.2 s after the end of reco1 and is cut there" in done.stderr
    assert read_table(cut_dir / "utt2dur") == {"a-1": "10", "a-2": "7.5", "b-1": "4"}
    assert validate_data_dir(cut_dir).hours == pytest.approx(21.5 / 3600)
    monkeypatch.chdir(shell.root)
    utterances = Utterances(cut_dir, 16000)
    assert [len(utterances.read(name)) / 16000 for name in ("a-1", "a-2", "b-1")] == [10.0, 7.5, 4.0]


def test_segments_that_reach_far_beyond_their_recordings_are_refused(shell, cut_dir):
    shell.write("data/long/segments", "a-1 reco1 0 -1\na-2 reco1 2.5 100\nb-1 reco2 0.5 45\n")
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/long")
    assert done.returncode == 1 and "data/long: 2 cannot be used (2 segment):" in done.stderr
    assert "a-2: from 2.5 s to 100 s of reco1, which is 10 s long" in done.stderr
    assert "only 1 of 3 utterances of data/long got a duration, e.g. a-2 did not" in done.stderr


def test_all_faulty_recordings_are_reported_at_once(shell, audio_dir):
    shell.write("data/x/utt2spk", "".join(f"a-{n:03} a\n" for n in range(300)))
    for number in range(12):
        (shell.root / f"corpus/bad{number}.wav").write_bytes((shell.root / "corpus/9.wav").read_bytes()[:9000])
    lines = [f"a-{n:03} corpus/{f'bad{n}' if n < 12 else n % 10}.wav\n" for n in range(300)]
    shell.write("data/x/wav.scp", "".join(lines))
    done = shell("utils/get_utt2dur.sh", "--nj", "2", "data/x")
    assert done.returncode == 0, done.stderr
    assert "data/x: 12 cannot be used (12 truncated):" in done.stderr
    assert done.stderr.count("bad") == 10 and "... and 2 more, see data/x/log/audio_report" in done.stderr
    assert (audio_dir / "log/audio_report").read_text().count("is truncated: its header promises") == 12
    assert "12 of 300 utterances got no duration, e.g. a-000; utils/fix_data_dir.sh data/x leaves" in done.stderr
    assert shell(FIX, "data/x").returncode == 0 and len(read_table(audio_dir / "wav.scp")) == 288
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")  # what is left is whole, and known
    assert (done.returncode, done.stderr) == (0, "") and "is there already" in done.stdout


def test_samples_are_checked_on_request_and_once(shell, audio_dir):
    assert shell("utils/get_utt2dur.sh", "--nj", "1", "data/x").returncode == 0
    done = shell(*CHECKING, "data/x")
    assert done.returncode == 1 and "data/x: 10 cannot be used (10 silent):" in done.stderr
    soundfile = pytest.importorskip("soundfile")
    for number in range(10):
        soundfile.write(shell.root / f"corpus/{number}.wav", [0.5, 0.0] * (800 * (number + 1)), 16000)
    assert shell(*CHECKING, "data/x").returncode == 0
    assert set(read_table(audio_dir / "reco2peak").values()) == {"0.5"}
    assert "already" in shell(*CHECKING, "data/x").stdout


def test_a_few_missing_durations_are_a_warning_and_more_an_error(shell, audio_dir):
    shell.write("data/x/wav.scp", "".join(f"a-{n:02} corpus/{n % 10}.wav\n" for n in range(40)))
    os.remove(shell.root / "corpus/9.wav")
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")
    assert done.returncode == 1 and "only 36 of 40 utterances" in done.stderr
    assert not (audio_dir / "utt2dur").exists()
    shell.write(
        "data/x/wav.scp", "".join(f"a-{n:02} corpus/{9 if n == 5 else n % 9}.wav\n" for n in range(40))
    )
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")
    assert done.returncode == 0 and "1 of 40 utterances got no duration, e.g. a-05" in done.stderr
    assert len(read_table(audio_dir / "utt2dur")) == 39


def test_the_launcher_can_be_chosen(shell, audio_dir):
    shell.write("my.sh", '#!/bin/sh\necho used > used\nexec utils/run.py "$@"\n').chmod(0o755)
    assert (
        shell("utils/get_utt2dur.sh", "--cmd", "./my.sh --max-jobs-run 1", "--nj", "1", "data/x").returncode
        == 0
    )
    assert (shell.root / "used").exists()


@pytest.mark.parametrize("place, number", [("my data/JOB", "08"), ("it's; (x)", "2"), ("$HOME*", "1")])
def test_durations_are_found_in_paths_of_all_kinds(shell, audio_dir, place, number):
    path = shell.root / place
    path.parent.mkdir(exist_ok=True)
    audio_dir.rename(path)
    (path / "wav.scp").write_text((path / "wav.scp").read_text().rstrip("\n"))  # nor a newline at its end
    assert shell("utils/get_utt2dur.sh", "--nj", number, place).returncode == 0
    assert len(read_table(path / "utt2dur")) == 10
    expected = {"corpus", "data", "utils", place.split("/")[0]}
    assert {path.name for path in shell.root.iterdir()} == expected


@pytest.mark.parametrize("number", ["0", "-1", "two", "99999999999"])
def test_durations_need_a_job(shell, audio_dir, number):
    done = shell("utils/get_utt2dur.sh", "--nj", number, "data/x")
    assert done.returncode == 1 and f"--nj takes a number of at least 1, got '{number}'" in done.stderr


def test_an_empty_table_has_no_durations(shell, audio_dir):
    shell.write("data/x/wav.scp", "")
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/x")
    assert done.returncode == 1 and "data/x/wav.scp is empty" in done.stderr


def test_the_tools_may_lie_in_a_path_with_blanks(shell, audio_dir):
    (shell.root / "my tools").symlink_to(shell.root / "utils")
    assert shell("my tools/get_utt2dur.sh", "--nj", "1", "data/x").returncode == 0


@pytest.mark.parametrize("arguments", [[], ["data/x", "data/y"], ["data/none"]])
def test_get_utt2dur_needs_one_directory(shell, audio_dir, arguments):
    done = shell("utils/get_utt2dur.sh", *arguments)
    assert done.returncode == 1
    assert "expected <data-dir>" in done.stderr or "no such directory data/none" in done.stderr


@pytest.mark.parametrize(
    "name", ["fix_data_dir", "copy_data_dir", "subset_data_dir", "combine_data", "get_utt2dur"]
)
def test_help_is_a_usage_with_an_example(shell, name):
    done = shell(f"utils/{name}.sh", "--help")
    assert done.returncode == 0
    assert f"usage: utils/{name}.sh" in done.stdout and f"e.g.: utils/{name}.sh" in done.stdout


def test_an_interrupted_fix_changes_nothing(good_dir, monkeypatch):
    break_order(good_dir)
    before = contents(good_dir)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data_dir_edit, "write_files", fail)
    with pytest.raises(KeyboardInterrupt):
        fix_data_dir(good_dir)
    assert contents(good_dir) == before


def test_a_list_that_chooses_nothing_is_named_with_the_set(shell, good_dir):
    shell.write("lists/none", "")
    done = shell("utils/subset_data_dir.sh", "--spk-list", "lists/none", "data/all", "data/dev")
    assert done.returncode == 1
    assert "no utterance of data/all was chosen for data/dev: none of the 0 names in lists/none is there" in done.stderr
