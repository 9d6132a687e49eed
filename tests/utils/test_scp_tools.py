"""split_scp.py, filter_scp.py and utt2spk_to_spk2utt.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "utils"))

from split_scp import split_lines, split_speakers  # noqa: E402

SPLIT, FILTER, INVERT = "utils/split_scp.py", "utils/filter_scp.py", "utils/utt2spk_to_spk2utt.py"


def lines(total):
    return "".join(f"u{number} path {number}\n" for number in range(total))


def test_pieces_are_contiguous_and_the_larger_come_first(shell):
    shell.write("in.scp", lines(9))
    outputs = [f"out.{n}" for n in range(1, 5)]
    assert shell(SPLIT, "in.scp", *outputs).returncode == 0
    pieces = [(shell.root / output).read_text() for output in outputs]
    assert [piece.count("\n") for piece in pieces] == [3, 2, 2, 2]
    assert "".join(pieces) == lines(9)


@settings(deadline=None)
@given(total=st.integers(1, 200), data=st.data())
def test_pieces_differ_by_one_at_most(total, data):
    number = data.draw(st.integers(1, total))
    items = [str(item) for item in range(total)]
    pieces = split_lines(items, number)
    sizes = [len(piece) for piece in pieces]
    assert sum(pieces, []) == items and len(pieces) == number
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 50), min_size=1, max_size=30), data=st.data())
def test_speakers_stay_whole_and_in_order_and_no_piece_is_empty(counts, data):
    number = data.draw(st.integers(1, len(counts)))
    pieces = split_speakers(counts, number)
    assert sum(pieces, []) == list(range(len(counts)))
    assert len(pieces) == number and all(pieces)


def test_speakers_are_moved_until_pieces_are_close():
    # Equal numbers of speakers would be 100+1+1 against 1+1+1: the border moves.
    assert split_speakers([100, 1, 1, 1, 1, 1], 2) == [[0], [1, 2, 3, 4, 5]]


def test_a_split_by_speaker_cuts_only_between_speakers(shell):
    shell.write("utt2spk", "a-1 a\na-2 a\na-3 a\nb-1 b\nc-1 c\nc-2 c\n")
    assert shell(SPLIT, "--utt2spk=utt2spk", "utt2spk", "out.1", "out.2").returncode == 0
    assert (shell.root / "out.1").read_text() == "a-1 a\na-2 a\na-3 a\n"
    assert (shell.root / "out.2").read_text() == "b-1 b\nc-1 c\nc-2 c\n"


@pytest.mark.parametrize(
    "options, first", [(["-j", "3", "0"], "u0"), (["-j", "3", "3", "--one-based"], "u5")]
)
def test_one_piece_can_be_written_to_stdout_or_a_file(shell, options, first):
    shell.write("in.scp", lines(7))
    done = shell(SPLIT, *options, "in.scp")
    assert done.returncode == 0 and done.stdout.startswith(first + " ")
    assert shell(SPLIT, *options, "in.scp", "out").returncode == 0
    assert (shell.root / "out").read_text() == done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["in.scp", *[f"o{n}" for n in range(12)]],
            "[reduce $nj (12) to be smaller than the number of lines (9) in in.scp]",
        ),
        (["empty", "o1"], "empty is empty"),
        (["none", "o1"], "No such file"),
        (["--utt2spk=utt2spk", "in.scp", "o1", "o2", "o3"], "cannot split 2 speakers into 3 pieces"),
        (["--utt2spk=empty", "in.scp", "o1"], "utterance u0 is not in empty"),
        (["in.scp"], "expected <in> and at least one <out>"),
        (["-j", "3", "3", "in.scp"], "there is no piece 3 of 3"),
        (["-j", "3", "0", "--one-based", "in.scp"], "there is no piece 0 of 3"),
        (["--random", "in.scp", "o1"], "cannot understand --random"),
    ],
)
def test_a_split_that_cannot_be_is_refused(shell, arguments, message):
    shell.write("in.scp", lines(9))
    shell.write("empty", "")
    shell.write("utt2spk", "".join(f"u{number} s{number % 2}\n" for number in range(9)))
    done = shell(SPLIT, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert not list(shell.root.glob("o*"))


def test_unusual_characters_survive_a_split(shell):
    content = b"u0 \xe2\x80\xa8 \xff\x0b\nu1 x\r\n"
    (shell.root / "in.scp").write_bytes(content)
    shell(SPLIT, "in.scp", "out.1", "out.2")
    assert (shell.root / "out.1").read_bytes() + (shell.root / "out.2").read_bytes() == content


@pytest.mark.parametrize(
    "options, expected",
    [([], "u1 path 1\nu3 path 3\n"), (["--exclude"], "u0 path 0\nu2 path 2\n"), (["-f", "3"], "u2 path 2\n")],
)
def test_a_filter_keeps_the_lines_whose_key_is_listed(shell, options, expected):
    shell.write("ids", "u3 more words\nu1\n2\n")
    shell.write("in.scp", lines(4))
    assert shell(FILTER, *options, "ids", "in.scp").stdout == expected
    assert shell(FILTER, *options, "ids", input=lines(4)).stdout == expected


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "expected <ids> [<in.scp>], got 0 arguments"),
        (["none", "in.scp"], "No such file"),
        (["-f", "0", "ids", "in.scp"], "cannot understand -f"),
        (["-f", "4", "ids", "in.scp"], "in.scp, line 1 has no field 4"),
        (["gap", "in.scp"], "gap, line 2 is empty"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(shell, arguments, message):
    shell.write("ids", "u1\n")
    shell.write("gap", "u1\n\n")
    shell.write("in.scp", lines(4))
    done = shell(FILTER, *arguments)
    assert (done.returncode, done.stdout) == (1, "") and message in done.stderr


def test_speakers_come_in_order_of_first_appearance(shell):
    shell.write("utt2spk", "z-1 z\na-1 a\nz-2 z\n")
    assert shell(INVERT, "utt2spk").stdout == "z z-1 z-2\na a-1\n"
    assert shell(INVERT, input="b c\n").stdout == "c b\n"


def test_a_line_without_two_fields_is_an_error(shell):
    done = shell(INVERT, input="a-1 a\na-2\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "stdin, line 2: expected <utterance> <speaker>, got 1 fields" in done.stderr


@pytest.mark.parametrize("tool", [SPLIT, FILTER, INVERT])
def test_the_tools_explain_themselves(shell, tool):
    done = shell(tool, "--help")
    assert done.returncode == 0 and f"usage: {tool}" in done.stdout
