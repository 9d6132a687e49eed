"""The small index of large tables against tables as dictionaries, its slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstorm.data import table_index
from soundstorm.data.data_dir import parse_seconds, read_segments, read_table
from soundstorm.data.table_index import (
    MISSING,
    Keys,
    Lines,
    read_numbers,
    read_places,
    read_seconds,
    read_stretches,
    read_values,
)

KEYS = st.lists(st.text("ab-é.", min_size=1, max_size=5), max_size=30, unique=True)
PATHS = st.text("xyz/: ", min_size=1, max_size=6).filter(lambda text: text == text.strip())


@settings(max_examples=80, deadline=None)
@given(KEYS, st.data())
def test_an_index_has_what_a_dictionary_has(tmp_path_factory, keys, data):
    path = tmp_path_factory.mktemp("t") / "x.scp"
    lines = [f"{key} {data.draw(PATHS)}:{data.draw(st.integers(0, 10**20))}" for key in keys]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    expected, got = read_table(path), read_places(path)
    assert list(got.keys) == list(expected) == got.keys[:]
    for row, (key, value) in enumerate(expected.items()):
        archive, offset = got.archives[got.archive[row]], got.offset[row]
        assert value == (archive if offset == MISSING else f"{archive}:{value.rpartition(':')[2]}")
        assert offset == MISSING or offset == int(value.rpartition(":")[2])
        assert got.keys.row(key) == row and key in got.keys
    for absent in ("", "zz", "a" * 9, "b\0", 7):
        assert absent not in got.keys


TIMES = st.sampled_from("0 1 1. .5 1.25 1e1 +2 0.1000 99999999999999999999 x -1 1.2.3".split())
TEXTS = st.text("ab é|'", min_size=1, max_size=9).filter(lambda text: text == text.strip())


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except ValueError:
        return "refused"


@settings(max_examples=150, deadline=None)
@given(KEYS, st.data())
def test_segments_are_read_as_from_a_dictionary(tmp_path_factory, keys, data):
    path = tmp_path_factory.mktemp("t") / "segments"
    fields = st.tuples(st.sampled_from(["r1", "r2", "r3"]), TIMES, TIMES)
    usual = st.tuples(st.sampled_from(["r1", "r2"]), st.just("0.5"), st.sampled_from(["1", "1.7250", "31.04"]))
    lines = [f"{key} {' '.join(data.draw(st.one_of(usual, usual, usual, fields)))}" for key in keys]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    expected, got = outcome(read_segments, path), outcome(read_stretches, path)
    if expected == "refused" or got == "refused":
        assert expected == got
        return
    assert list(got.keys) == list(expected)
    rows = [(got.recordings[code], a, b) for code, a, b in zip(got.recording, got.start.tolist(), got.end.tolist())]
    assert [(name, a, None if np.isnan(b) else b) for name, a, b in rows] == list(map(tuple, expected.values()))


@settings(max_examples=100, deadline=None)
@given(KEYS, st.data())
def test_values_and_seconds_are_those_of_a_dictionary(tmp_path_factory, keys, data):
    path = tmp_path_factory.mktemp("t") / "x"
    values = [data.draw(st.one_of(TIMES, TEXTS)) for _ in keys]
    path.write_text("".join(f"{key} {value}\n" for key, value in zip(keys, values)), encoding="utf-8")
    names, got = read_values(path)
    lines = Lines(path)
    assert list(names) == list(lines.keys) == keys
    assert [value.decode() for value in got.tolist()] == [lines[row] for row in range(len(lines))] == values
    seconds = outcome(lambda: [parse_seconds(value) for value in read_table(path).values()])
    assert seconds == outcome(lambda: read_seconds(path)[1].tolist())


@settings(max_examples=60, deadline=None)
@given(KEYS, KEYS)
def test_rows_of_many_keys_are_those_of_each(ours, theirs):
    def names(keys):
        return np.array([key.encode() for key in keys]) if keys else np.zeros(0, "S1")

    rows = Keys(names(ours), "x").rows(names(theirs))
    assert rows.tolist() == [ours.index(key) if key in ours else MISSING for key in theirs]


def test_keys_of_some_rows_are_keys():
    keys = Keys.of(["b", "é", "a", "c"], "x")
    some = keys.at(np.array([3, 1]))
    assert list(some) == ["c", "é"] and some.row("é") == 1 and "a" not in some
    assert list(keys.at(np.array([True, False, True, False]))) == ["b", "a"]
    assert len(keys.at(np.zeros(4, dtype=bool))) == 0


def test_pieces_of_a_file_make_the_table_of_the_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.scp"
    path.write_text("".join(f"u{row:04d} {row % 3}.ark:{row * 7}\n" for row in range(500)) + "v 0.ark:1")
    whole = read_places(path)
    monkeypatch.setattr(table_index, "PIECE_BYTES", 37)
    pieces = read_places(path)
    assert whole.keys[:] == pieces.keys[:] and whole.archives == pieces.archives and len(whole.keys) == 501
    np.testing.assert_array_equal(whole.offset, pieces.offset)
    np.testing.assert_array_equal(whole.archive, pieces.archive)
    lines = Lines(path)
    assert [lines[row] for row in range(len(lines))] == list(read_table(path).values())


def test_numbers_are_read_and_words_are_refused(tmp_path):
    path = tmp_path / "utt2num_frames"
    path.write_text("b 5\na  17 \nc 0\n")  # neither sorted nor with one blank
    keys, numbers = read_numbers(path)
    assert keys[:] == ["b", "a", "c"] and numbers.tolist() == [5, 17, 0]
    path.write_text("a 5\nb 5.5\n")
    with pytest.raises(ValueError, match="utt2num_frames, b: expected a whole number, got '5.5'"):
        read_numbers(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a x:1\nb x:2\na x:3\n", "line 3: key 'a' is there a second time"),
        (b"a x:1\r\n", "line 1: Windows line end"),
        (b"a x:1\n\nb x:2\n", "line 2: expected a key and its value"),
        (b" a x:1\n", "line 1: expected a key and its value"),
        (b"a x:1\nb \xff:1\n", "line 2: not UTF-8"),
        (b"a\0 x:1\n", "has a character 0"),
    ],
)
def test_a_malformed_table_is_refused_as_any_other(tmp_path, content, message):
    (tmp_path / "x.scp").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_places(tmp_path / "x.scp")


def test_an_empty_table_is_one_and_a_missing_one_is_none(tmp_path):
    (tmp_path / "x").write_text("")
    assert len(read_places(tmp_path / "x").keys) == len(read_numbers(tmp_path / "x")[0]) == 0
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_places(tmp_path / "y")
