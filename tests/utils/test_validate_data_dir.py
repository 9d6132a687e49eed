"""A good data directory passes; each fault is told with its place and remedy."""

from __future__ import annotations

import re

import pytest

from soundstorm.data.data_dir_check import DataDirError, validate_data_dir

VALIDATE = "utils/validate_data_dir.sh"


def change(directory, name, old, new):
    """Replace something in a file that is there exactly once."""
    path = directory / name
    content = path.read_bytes().decode("utf-8")
    assert content.count(old) == 1, f"{old!r} is {content.count(old)} times in {name}"
    path.write_bytes(content.replace(old, new).encode("utf-8", "surrogateescape"))


def test_a_good_directory_passes(good_dir):
    summary = validate_data_dir(good_dir)
    assert (summary.num_utterances, summary.num_speakers, summary.warnings) == (12, 3, ())
    assert summary.hours == pytest.approx(sum(1.25 + (7 * i) % 12 for i in range(12)) / 3600)


def test_a_good_directory_with_segments_passes(segmented_dir):
    summary = validate_data_dir(segmented_dir)
    assert summary.num_utterances == 3
    assert summary.hours == pytest.approx((10 + 4) / 3600)


FAULTS = [
    (
        "utt2spk",
        "anna-0 anna\n",
        "anna-0 anna extra\n",
        r"utt2spk, line 1: expected two fields, .*got 'anna-0 anna extra'; names have no blanks",
    ),
    ("utt2spk", "anna-0 anna\n", "anna-0\n", r"utt2spk, anna-0: expected two fields, .*got ''"),
    ("utt2spk", "cora-4 cora\n", "cora-4 cora", r"utt2spk: the last line does not end with a newline"),
    (
        "utt2spk",
        "anna-1 anna\n",
        "anna-1 anna\nanna-1 anna\n",
        r"utt2spk, line 3: anna-1 is there a second time",
    ),
    ("utt2spk", "anna-1 anna\n", "", r"spk2utt is not the inverse of utt2spk: anna has"),
    (
        "utt2spk",
        "anna-0",
        "zoe-0",
        r"utt2spk, line 2: not sorted, anna-1 comes after zoe-0 \(sort with LC_ALL=C",
    ),
    (
        "utt2spk",
        "anna-0 anna\n",
        "anna-0 zoe\n",
        r"not by speaker: anna-1 of anna comes after zoe; .*--no-spk-sort",
    ),
    ("utt2spk", "anna-0", "an/na", r"id 'an/na' has other characters than .*rename it in local/data.sh"),
    ("utt2spk", "anna-0 anna\n", "anna-0 anna\r\n", r"utt2spk, line 1: Windows line end"),
    (
        "spk2utt",
        "ben ben-0 ben-1",
        "ben ben-1 ben-0",
        r"spk2utt is not the inverse .*ben has 'ben-1 ben-0 ben-2'",
    ),
    (
        "spk2utt",
        "ben ben-0 ben-1 ben-2\n",
        "",
        r"spk2utt is not the inverse .*ben has no line.*utt2spk_to_spk2utt",
    ),
    ("text", "THE WORDS OF ben-1", "", r"text, ben-1: the transcript is empty"),
    ("text", "OF ben-1", "\u00a0 ben-1", r"text, ben-1: white space U\+00A0 in the transcript"),
    ("text", "OF ben-1", "\u200b ben-1", r"text, ben-1: character U\+200B does not print .*--non-print"),
    (
        "text",
        "THE WORDS OF ben-1",
        "...!? \u2014",
        r"text, ben-1: nothing to pronounce in '...!\? \u2014'; give it words",
    ),
    ("text", "OF ben-1", "</s> ben-1", r"text, ben-1: </s> is reserved"),
    (
        "text",
        "ben-1 THE WORDS OF ben-1\n",
        "",
        r"they have 11 and 12 \(run utils/fix_data_dir.sh .*\nben-1 is in utt2spk",
    ),
    ("text", "ben-1 THE", "ben-9 THE", r"not sorted, ben-2 comes after ben-9"),
    ("text", "OF ben-1", "\udcff ben-1", r"text, line 6: not UTF-8"),
    (
        "wav.scp",
        "corpus/ben-1.wav",
        "sox corpus/ben-1.wav -t wav - |",
        r"ben-1: 'sox .*' is a command; a pipe runs",
    ),
    ("wav.scp", "corpus/ben-1.wav", "~/ben-1.wav", r"ben-1: '~/ben-1.wav' starts with ~"),
    ("wav.scp", "corpus/ben-1.wav", "", r"wav.scp, ben-1: has no path"),
    ("wav.scp", "ben-1 corpus/ben-1.wav\n", "", r"wav.scp and .*/utt2spk do not list the same keys"),
    ("utt2dur", "ben-1 12.25", "ben-1 0", r"utt2dur, ben-1: expected seconds > 0, got 0"),
    ("utt2dur", "ben-1 12.25", "ben-1 long", r"utt2dur, ben-1: expected a number of seconds, got 'long'"),
    (
        "utt2num_frames",
        "ben-1 55",
        "ben-1 5.5",
        r"utt2num_frames, ben-1: expected a positive integer, got '5.5'",
    ),
    ("utt2num_frames", "ben-1 55", "ben-1 0", r"expected a positive integer, got '0'"),
    ("semantic.scp", "semantic.ark:5\n", "semantic.ark\n", r"semantic.scp, ben-1: expected <ark>:<offset>"),
    ("semantic.scp", "ben-1 dump", "ben-10 dump", r"semantic.scp and .*\nben-10 is in semantic.scp but not"),
    ("semantic.scp", "ben-1 dump/semantic.ark:5\n", "", r"utt2num_frames and .*remove both: .*\nben-1 is in utt2num"),
    ("spk2gender", "ben m", "ben male", r"spk2gender, ben: expected m or f, got 'male'"),
    ("spk2gender", "ben m\n", "", r"spk2gender and .*/spk2utt do not list the same keys"),
    (
        "phones.ctm",
        "ben-1 1 0.5 0.5 a",
        "ben-1 1 0.5 0.5",
        r"phones.ctm, ben-1: expected <utterance> 1 .*got 4 fields",
    ),
    ("phones.ctm", "ben-1 1 0 0.5 sil", "ben-1 1 0.7 0.5 sil", r"phone a at 0.5 s: expected times sorted"),
    (
        "phones.ctm",
        "cora-4 1 0.5 0.5 a\n",
        "cora-4 1 0.5 0.5 a\nzoe 1 0 1 a\n",
        r"zoe is in phones.ctm but not in utt2spk",
    ),
]


@pytest.mark.parametrize("name, old, new, message", FAULTS, ids=range(len(FAULTS)))
def test_one_fault_is_found(good_dir, name, old, new, message):
    change(good_dir, name, old, new)
    with pytest.raises(DataDirError, match=re.compile(message, re.DOTALL)):
        validate_data_dir(good_dir)


def test_utterances_that_no_tokens_could_be_made_of_may_lack_them(good_dir):
    change(good_dir, "semantic.scp", "ben-1 dump/semantic.ark:5\n", "")
    change(good_dir, "utt2num_frames", "ben-1 55\n", "")
    assert validate_data_dir(good_dir).num_utterances == 12


SEGMENT_FAULTS = [
    ("segments", "a-1 reco1 0 2.5", "a-1 reco1 2.5 2.5", r"segments, a-1: expected 0 <= start < end"),
    ("segments", "a-1 reco1 0 2.5", "a-1 reco1 0", r"segments, a-1: .*got 3 fields"),
    ("segments", "b-1 reco2", "b-1 reco3", r"recording reco3 is not in .*\n.*no segment uses reco2"),
    ("segments", "2.5 10\n", "2.5 10.02\n", r"a-2: ends at 10.02 s but recording reco1 is 10.0 s long"),
    (
        "segments",
        "b-1 reco2 0.5 4.5\n",
        "",
        r"segments and .*/utt2spk do not list the same keys: they have 2 and 3",
    ),
    ("wav.scp", "reco1 corpus/1.flac\n", "", r"segments: recording reco1 is not in "),
]


@pytest.mark.parametrize("name, old, new, message", SEGMENT_FAULTS, ids=range(len(SEGMENT_FAULTS)))
def test_one_fault_of_segments_is_found(segmented_dir, name, old, new, message):
    change(segmented_dir, name, old, new)
    with pytest.raises(DataDirError, match=message):
        validate_data_dir(segmented_dir)


@pytest.mark.parametrize(
    "name, message",
    [
        ("utt2spk", "no such file .*/utt2spk$"),
        ("spk2utt", "no such file .*/spk2utt$"),
        ("text", r"no such file .*/text \(if this is by design, specify --no-text\)"),
        ("wav.scp", r"no such file .*/wav.scp \(if this is by design, specify --no-wav\)"),
    ],
)
def test_a_missing_file_is_told_with_the_remedy(good_dir, name, message):
    (good_dir / name).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        validate_data_dir(good_dir)


@pytest.mark.parametrize("name", ["utt2spk", "spk2utt", "text", "wav.scp", "utt2dur"])
def test_an_empty_file_is_a_fault(good_dir, name):
    (good_dir / name).write_text("")
    with pytest.raises(DataDirError, match=f"{name} is empty"):
        validate_data_dir(good_dir)


def test_segments_need_a_wav_scp_even_with_no_wav(segmented_dir):
    (segmented_dir / "wav.scp").unlink()
    with pytest.raises(FileNotFoundError, match="no such file .*wav.scp, but there is .*segments"):
        validate_data_dir(segmented_dir, wav=False)


def test_all_faults_of_a_file_are_told_up_to_ten(good_dir):
    text = (good_dir / "text").read_text()
    (good_dir / "text").write_text(re.sub(" THE WORDS OF .*", "", text))
    with pytest.raises(DataDirError) as caught:
        validate_data_dir(good_dir)
    lines = str(caught.value).split("\n")
    assert len(lines) == 11 and lines[10] == "... and 2 more"


def test_a_file_that_does_not_restrict_may_lack_keys(good_dir):
    change(good_dir, "phones.ctm", "ben-1 1 0 0.5 sil\nben-1 1 0.5 0.5 a\n", "")
    (good_dir / "utt2uniq").write_text("ben-1 ben-0\n")
    validate_data_dir(good_dir)


@pytest.mark.parametrize(
    "options, name, old, new",
    [
        ({"spk_sort": False}, None, None, None),
        ({"non_print": True}, "text", "OF ben-1", "\u200b ben-1"),
    ],
)
def test_options_permit_what_they_say(good_dir, options, name, old, new):
    if name is None:
        (good_dir / "utt2spk").write_text((good_dir / "utt2spk").read_text().replace(" anna", " zoe"))
        for path, words in (("spk2utt", ("anna anna-0", "zoe anna-0")), ("spk2gender", ("anna f\n", ""))):
            change(good_dir, path, *words)
        with (good_dir / "spk2gender").open("a") as file:
            file.write("zoe f\n")
        lines = (good_dir / "spk2utt").read_text().splitlines(keepends=True)
        (good_dir / "spk2utt").write_text("".join(sorted(lines)))
    else:
        change(good_dir, name, old, new)
    with pytest.raises(DataDirError):
        validate_data_dir(good_dir)
    validate_data_dir(good_dir, **options)


@pytest.mark.parametrize(
    "words",
    ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "co\u00adoperate", "\u2121", "7", "\u0e04\u0e33"],
)
def test_words_of_all_scripts_are_transcripts(good_dir, words):
    change(good_dir, "text", "THE WORDS OF ben-1", words)
    validate_data_dir(good_dir)


def test_transcripts_that_cannot_belong_to_their_audio_are_named(good_dir):
    change(good_dir, "text", "THE WORDS OF ben-1", "word " * 300)
    change(good_dir, "text", "THE WORDS OF cora-3", "a")
    (warning,) = validate_data_dir(good_dir).warnings
    assert "/text: 2 of 12 transcripts do not fit their audio (most have" in warning
    assert "ben-1 has 98 letters a second, cora-3 has" in warning


def test_no_text_still_checks_a_text_that_is_there(good_dir):
    change(good_dir, "text", "THE WORDS OF ben-1", "")
    with pytest.raises(DataDirError, match="the transcript is empty"):
        validate_data_dir(good_dir, text=False)
    (good_dir / "text").unlink()
    validate_data_dir(good_dir, text=False)


def test_one_speaker_for_all_is_warned_about(segmented_dir):
    (segmented_dir / "utt2spk").write_text("a-1 x\na-2 x\nb-1 x\n")
    (segmented_dir / "spk2utt").write_text("x a-1 a-2 b-1\n")
    assert "one speaker only" in validate_data_dir(segmented_dir).warnings[0]


def test_required_files_must_be_there(good_dir):
    validate_data_dir(good_dir, require=["semantic.scp"])
    with pytest.raises(FileNotFoundError, match="no such file .*/acoustic.scp, which is required here"):
        validate_data_dir(good_dir, require=["semantic.scp", "acoustic.scp"])


def test_the_script_says_what_it_found(shell, good_dir):
    done = shell(VALIDATE, "data/all")
    assert (done.returncode, done.stderr) == (0, "")
    found = "12 utterances, 3 speakers, 0.02 hours"
    assert done.stdout == f"validate_data_dir.sh: Successfully validated data-directory data/all: {found}\n"


def test_the_script_takes_kaldis_flags(shell, good_dir):
    for name in ("text", "wav.scp"):
        (good_dir / name).unlink()
    flags = ["--no-feats", "--no-text", "--no-wav", "--no-spk-sort", "--non-print"]
    assert shell(VALIDATE, *flags, "data/all").returncode == 0


def test_the_script_fails_on_a_wrong_number_of_fields(shell, good_dir):
    change(good_dir, "utt2spk", "anna-0 anna\n", "anna-0 anna extra\n")
    done = shell(VALIDATE, "data/all")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("validate_data_dir.sh: data/all/utt2spk, line 1: expected two fields")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "expected <data-dir>, got nothing"),
        (["--no-txt", "data/all"], "unknown option --no-txt"),
        (["data/all", "--no-text"], "option --no-text comes after the arguments"),
        (["--require"], "option --require needs a value"),
        (["data/all", "data/all"], "expected <data-dir>, got 'data/all' 'data/all'"),
        (["--require", "acoustic.scp", "data/all"], "no such file data/all/acoustic.scp"),
        (["data/none"], "no such directory data/none"),
    ],
)
def test_the_script_refuses_a_wrong_command_line(shell, good_dir, arguments, message):
    done = shell(VALIDATE, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_the_script_needs_no_installed_package(shell, good_dir):
    done = shell(VALIDATE, "data/all", env={"PYTHONNOUSERSITE": "1", "PYTHONPATH": "", "PYTHONSAFEPATH": "1"})
    assert done.returncode == 0, done.stderr
