"""Reading and writing the files of a data directory, and the pure parts of the tools that change one."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstorm.data.data_dir import (
    KNOWN,
    KNOWN_FILES,
    DataDir,
    Segment,
    format_table,
    invert,
    parse_seconds,
    read_lines,
    read_segments,
    read_table,
    to_table,
    whole_file,
    write_table,
)
from soundstorm.data.data_dir_derive import shortest, spread, spread_per_speaker, whole_speakers
from soundstorm.data.durations import format_seconds

IDS = st.text("abcXYZ019._+-", min_size=1, max_size=8)
# Anything but line ends; blanks and tabs at the ends of a value are not kept.
VALUES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])).map(
    lambda v: v.strip(" \t")
)


@given(table=st.dictionaries(IDS, VALUES, max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "text"
    write_table(path, table)
    assert read_table(path) == table


@given(keys=st.sets(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1), min_size=1))
@settings(max_examples=100, deadline=None)
def test_files_are_sorted_as_the_c_locale_sorts(keys):
    keys = {key for key in keys if not any(letter.isspace() for letter in key)} or {"a"}
    lines = format_table("text", dict.fromkeys(keys, "x")).split("\n")[:-1]
    assert [line.encode() for line in lines] == sorted(line.encode() for line in lines)


def test_the_value_is_the_rest_of_the_line(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("a  two  words \nb\tx\ty\nc\nd \u3000e\u2028f\n".encode())
    assert read_table(path) == {"a": "two  words", "b": "x\ty", "c": "", "d": "\u3000e\u2028f"}


def test_the_last_line_needs_no_newline_to_be_read(tmp_path):
    (tmp_path / "text").write_bytes(b"a x\nb y")
    assert list(read_table(tmp_path / "text")) == ["a", "b"]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a x\n\nb y\n", r"text, line 2: expected a key and its value, got ''"),
        (b"a x\n b y\n", r"text, line 2: expected a key"),
        (b"a x\r\n", r"text, line 1: Windows line end; remove them, here or in the file that local/data.sh made"),
        ("a x \ufeffy\n".encode(), r"text, line 1: has a byte order mark"),
        (b"a x\nb \xff\n", r"text, line 2: not UTF-8; convert it"),
        (b"a x\nb y\na z\n", r"text, line 3: key 'a' is there a second time"),
    ],
)
def test_a_malformed_file_is_an_error_with_its_line(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "text")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file .*/wav.scp"):
        read_table(tmp_path / "wav.scp")


@pytest.mark.parametrize("key", ["", "a b", "a\tb", "a\u3000b"])
def test_a_key_must_be_one_word(tmp_path, key):
    with pytest.raises(ValueError, match="must be one word"):
        write_table(tmp_path / "text", {key: "x"})
    assert list(tmp_path.iterdir()) == []


def test_writing_replaces_the_file_in_one_go(tmp_path, monkeypatch):
    path = tmp_path / "text"
    write_table(path, {"a": "old"})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_table(path, {"a": "new"})
    assert read_table(path) == {"a": "old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["text"]


def test_a_key_of_phones_ctm_may_have_several_lines(tmp_path):
    path = tmp_path / "phones.ctm"
    path.write_text("a 1 0 0.5 sil\na 1 0.5 0.1 k\nb 1 0 1 t\n")
    table = read_table(path)
    assert table == {"a": "1 0 0.5 sil\n1 0.5 0.1 k", "b": "1 0 1 t"}
    write_table(path, table)
    assert path.read_text() == "a 1 0 0.5 sil\na 1 0.5 0.1 k\nb 1 0 1 t\n"


def test_segments_are_read_in_seconds(tmp_path):
    (tmp_path / "segments").write_text("a-1 reco 0 2.5\na-2 reco 2.5 1e1\nb reco 3 -1\n")
    assert read_segments(tmp_path / "segments") == {
        "a-1": Segment("reco", 0.0, 2.5),
        "a-2": Segment("reco", 2.5, 10.0),
        "b": Segment("reco", 3.0, None),
    }


@pytest.mark.parametrize(
    "line, message",
    [
        ("a reco 0", "got 3 fields"),
        ("a reco 2 1", "expected 0 <= start < end, .* got start 2 and end 1"),
        ("a reco 2 -2", "or -1 for the end of the recording, got start 2 and end -2"),
        ("a reco -1 1", "expected 0 <= start < end"),
        ("a reco 0 nan", "expected a number of seconds, got 'nan'"),
        ("a reco 0 1_0", "expected a number of seconds, got '1_0'"),
    ],
)
def test_a_malformed_segment_names_file_and_utterance(tmp_path, line, message):
    (tmp_path / "segments").write_text(line + "\n")
    with pytest.raises(ValueError, match=f"segments, utterance a: .*{message}"):
        read_segments(tmp_path / "segments")


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=1e6))
def test_parse_seconds_reads_what_python_writes(seconds):
    assert parse_seconds(repr(seconds)) == seconds


@settings(deadline=None)
@given(samples=st.integers(1, 10**9), rate=st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]))
def test_a_written_duration_gives_the_number_of_samples_back(samples, rate):
    assert int(parse_seconds(format_seconds(samples / rate)) * rate + 0.5) == samples


@settings(deadline=None)
@given(st.dictionaries(IDS, IDS, min_size=1))
def test_spk2utt_has_every_utterance_once_with_its_speaker(utt2spk):
    spk2utt = invert(utt2spk)
    back = {utterance: speaker for speaker, names in spk2utt.items() for utterance in names.split()}
    assert back == utt2spk
    assert sum(len(names.split()) for names in spk2utt.values()) == len(utt2spk)
    assert list(spk2utt) == list(dict.fromkeys(utt2spk.values()))


def test_a_directory_tells_its_utterances_and_durations(tmp_path):
    write_table(tmp_path / "utt2spk", {"b-1": "b", "a-1": "a"})
    write_table(tmp_path / "wav.scp", {"b-1": "b.wav", "a-1": "a.wav"})
    directory = DataDir(tmp_path)
    assert directory.ids == ["a-1", "b-1"]
    assert directory.key_file.name == "wav.scp"
    assert directory.durations() is None
    write_table(tmp_path / "segments", {"a-1": "r 0 2", "b-1": "r 2 3"})
    assert directory.key_file.name == "segments"
    assert directory.durations() == {"a-1": 2.0, "b-1": 1.0}
    write_table(tmp_path / "segments", {"a-1": "r 0 2", "b-1": "r 2 -1"})
    assert directory.durations() is None
    write_table(tmp_path / "utt2dur", {"a-1": "2.5", "b-1": "1"})
    assert directory.durations() == {"a-1": 2.5, "b-1": 1.0}


def test_a_directory_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such directory .*/none"):
        DataDir(tmp_path / "none")


def test_known_files_are_listed_once():
    assert len(KNOWN) == len(KNOWN_FILES) > 15


def test_repeated_lines_are_told_by_the_files_name():
    assert to_table("x/phones.ctm", [("a", "1"), ("a", "2")]) == {"a": "1\n2"}
    with pytest.raises(ValueError, match="wav.scp, line 2: key 'a'"):
        to_table("x/wav.scp", [("a", "1"), ("a", "1")])


def test_lines_come_in_the_files_order_with_repeats(tmp_path):
    (tmp_path / "x").write_text("b 1\na 2\nb 3\n")
    assert read_lines(tmp_path / "x") == [("b", "1"), ("a", "2"), ("b", "3")]


@pytest.mark.parametrize(
    "total, number, expected",
    # What Kaldi's subset_scp.pl prints for the same numbers, worked out by hand from its rule.
    [(4, 1, [3]), (4, 2, [1, 3]), (5, 2, [1, 4]), (7, 3, [2, 4, 6]), (8, 3, [3, 5, 7]), (3, 3, [0, 1, 2])],
)
def test_spread_halves_the_list_and_the_number(total, number, expected):
    assert spread([str(item) for item in range(total)], number) == [str(item) for item in expected]


@settings(deadline=None)
@given(total=st.integers(1, 300), data=st.data())
def test_spread_picks_the_number_asked_for_evenly(total, data):
    number = data.draw(st.integers(1, total))
    picked = [int(item) for item in spread([str(item) for item in range(total)], number)]
    assert len(picked) == number
    assert picked == sorted(set(picked))
    longest = max(end - start for start, end in zip([-1, *picked], [*picked, total]))
    assert longest <= 4 * total / number + 4


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6), number=st.integers(1, 12))
def test_per_speaker_picks_as_many_as_there_are_up_to_the_number(sizes, number):
    utt2spk = {f"s{s}-{u:02}": f"s{s}" for s, size in enumerate(sizes) for u in range(size)}
    picked = spread_per_speaker(utt2spk, number)
    for speaker, size in enumerate(sizes):
        of_speaker = [utterance for utterance in picked if utt2spk[utterance] == f"s{speaker}"]
        assert len(of_speaker) == len(set(of_speaker)) == min(size, number)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 5), data=st.data())
def test_whole_speakers_are_enough_and_not_one_too_many(sizes, seed, data):
    utt2spk = {f"s{s}-{u}": f"s{s}" for s, size in enumerate(sizes) for u in range(size)}
    number = data.draw(st.integers(1, sum(sizes)))
    picked = whole_speakers(utt2spk, number, seed)
    assert picked == whole_speakers(utt2spk, number, seed)
    speakers = list(dict.fromkeys(utt2spk[utterance] for utterance in picked))
    assert len(picked) == sum(sizes[int(speaker[1:])] for speaker in speakers) >= number
    assert len(picked) - sizes[int(speakers[-1][1:])] < number


def test_shortest_compares_numbers_not_words():
    assert shortest({"a": "10", "b": "9", "c": "9.0", "d": "2"}, 3) == ["d", "b", "c"]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    with whole_file(tmp_path / "x") as temporary:
        temporary.write_text("whole")
    temporary.write_text("half")  # of a process that was killed here
    write_table(tmp_path / "x", {"a": "1"})
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "a 1\n"


def test_a_file_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(OSError, match="full"), whole_file(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_processes_of_a_distributed_training_do_not_write_into_one_temporary_file(tmp_path, monkeypatch):
    names = set()
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with whole_file(tmp_path / "x") as temporary:
            temporary.write_text(rank)
            names.add(temporary.name)
    assert len(names) == 2
