"""Stage 0 of egs/dialogue: manifests, RTTM with STM or CTM, DailyTalk's published layout; chunks that respect turns."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_segments, read_table

RECIPE = "egs/dialogue"
LOCAL = Path(__file__).resolve().parent.parent.parent / RECIPE / "local"
RATE = 24000


@pytest.fixture(scope="module")
def local():
    """The modules of the recipe."""
    sys.path.insert(0, str(LOCAL))
    try:
        names = ("chunks", "conversations", "rttm", "turn_voices")
        return SimpleNamespace(**{name: import_module(name) for name in names})
    finally:
        sys.path.remove(str(LOCAL))


def write_wav(path, seconds, rate=RATE, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, shape), rate)
    return path


def write_manifest(path, conversations):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(conversation) + "\n" for conversation in conversations))
    return path


def call(name, turns, **more):
    """A conversation of (speaker, start, end, text)."""
    turns = [dict(zip(("speaker", "start", "end", "text"), turn)) for turn in turns]
    return {"id": name, "audio": f"{name}.wav", "turns": turns, **more}


SHORT = [("ann", 0.5, 2.0, "hello"), ("bob", 2.2, 3.0, "good day"), ("bob", 3.1, 4.0, "ann"), ("ann", 4.2, 6.0, "yes")]


@pytest.fixture
def calls(tmp_path):
    """Five recordings with four turns each, their manifest."""
    names = [f"call{number}" for number in range(5)]
    for name in names:
        write_wav(tmp_path / f"{name}.wav", 6.5)
    return write_manifest(tmp_path / "calls.jsonl", [call(name, SHORT) for name in names])


def prepare(checkout, *options):
    return checkout.run(["local/data.sh", *(str(option) for option in options)], cwd=RECIPE)


def data(checkout, name):
    return checkout.root / RECIPE / "data" / name


def table(checkout, set_name, name):
    return read_table(data(checkout, set_name) / name)


def everything(checkout, name):
    return {key: value for s in ("train", "dev", "test") for key, value in table(checkout, s, name).items()}


# ---------------------------------------------------------------------------------------------------------- cutting


def turn(local, speaker, start, end, text="x", words=()):
    return local.conversations.Turn(speaker, start, end, text, words)


def cut(local, turns, max_seconds=30.0, max_gap=3.0):
    return local.chunks.cut(turns, max_seconds=max_seconds, max_gap=max_gap)


def test_as_many_turns_as_fit_make_a_chunk(local):
    turns = [turn(local, "ab"[i % 2], 9.0 * i, 9.0 * i + 8.5, f"t{i}") for i in range(5)]
    assert [(c.start, c.end, c.text) for c in cut(local, turns)] == [
        (0.0, 26.5, "t0 | t1 | t2"), (27.0, 44.5, "t3 | t4"),
    ]  # fmt: skip


def test_a_long_silence_ends_a_chunk(local):
    chunks = cut(local, [turn(local, "a", 0.0, 1.0), turn(local, "b", 5.0, 6.0), turn(local, "b", 7.0, 8.0)])
    assert [(c.start, c.end, c.text) for c in chunks] == [(0.0, 1.0, "x"), (5.0, 8.0, "x x")]


def test_turns_that_overlap_stay_together(local):
    turns = [turn(local, "a", 0.0, 8.0, "one"), turn(local, "b", 7.0, 9.0, "two"), turn(local, "a", 9.0, 12.0, "three")]
    assert [(c.start, c.end, c.text) for c in cut(local, turns, 10.0)] == [
        (0.0, 9.0, "one | two"),
        (9.0, 12.0, "three"),
    ]


def test_a_turn_longer_than_a_chunk_is_cut_between_words_where_they_are_known(local):
    words = tuple(turn(local, "a", 2.0 * i, 2.0 * i + 1.5, f"w{i}") for i in range(5))
    chunks = cut(local, [turn(local, "a", 0.0, 9.5, "all", words), turn(local, "b", 9.6, 10.0, "end")], 5.0)
    assert [(c.start, c.end, c.text) for c in chunks] == [
        (0.0, 3.5, "w0 w1"), (4.0, 7.5, "w2 w3"), (8.0, 10.0, "w4 | end"),
    ]  # fmt: skip


def test_otherwise_it_is_cut_evenly_and_has_no_text(local):
    chunks = cut(local, [turn(local, "a", 0.0, 9.0, "long"), turn(local, "b", 9.0, 10.0, "end")], 5.0)
    assert [(c.start, c.end, c.text) for c in chunks] == [(0.0, 4.5, None), (4.5, 9.0, None), (9.0, 10.0, "end")]


def test_what_is_transcribed_is_not_joined_to_what_is_not(local):
    turns = [turn(local, "a", 0.0, 1.0), turn(local, "b", 1.0, 2.0, None), turn(local, "a", 2.0, 3.0, None)]
    assert [(c.start, c.end, c.text) for c in cut(local, turns)] == [(0.0, 1.0, "x"), (1.0, 3.0, None)]


SPEECH = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60_000), st.integers(1, 9_000)), min_size=1, max_size=30
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # however busy the machine
@given(spoken=SPEECH, longest=st.integers(3_000, 30_000), gap=st.integers(0, 4_000))
def test_no_chunk_is_too_long_or_cuts_a_turn_that_fits(local, spoken, longest, gap):
    turns = [
        turn(local, s, start / 1000, (start + length) / 1000, f"{s}{i}") for i, (s, start, length) in enumerate(spoken)
    ]
    chunks = cut(local, turns, longest / 1000, gap / 1000)
    assert all(0 < c.end - c.start <= longest / 1000 + 1e-6 for c in chunks)
    assert all(before.end <= after.start for before, after in zip(chunks, chunks[1:]))
    said = [word for c in chunks if c.text for word in c.text.split() if word != "|"]
    assert len(said) == len(set(said))
    for t in turns:
        holding = [c for c in chunks if c.start <= t.start and t.end <= c.end]
        touching = [c for c in chunks if c.start < t.end and t.start < c.end]
        assert touching
        if t.text in said:
            assert holding == touching and len(holding) == 1
    for c in chunks:
        if c.text:
            inside = sorted((t for t in turns if c.start <= t.start < c.end), key=lambda t: (t.start, t.end, t.speaker))
            slow = inside[0].text
            for before, after in zip(inside, inside[1:]):
                slow += (" " if after.speaker == before.speaker else " | ") + after.text
            assert c.text == slow


def test_an_exchange_is_the_first_turns_of_two_speakers_that_fit(local):
    spans = [("a", 0.0, 9.0), ("b", 9.5, 11.0), ("a", 11.5, 13.0), ("b", 13.5, 19.0), ("b", 19.5, 20.0)]
    turns = [turn(local, *span, name) for span, name in zip(spans, ("long", "one", "two", "three", "four"))]
    chunk = local.chunks.exchange(turns, max_seconds=10.0)
    assert (chunk.start, chunk.end, chunk.text) == (9.5, 19.0, "one | two | three")
    assert local.chunks.exchange(turns[:1], max_seconds=10.0) is None


# ---------------------------------------------------------------------------------------------------------- manifest


def test_recordings_of_the_codec_s_rate_are_cut_where_they_are(checkout, calls):
    done = prepare(checkout, "--manifest", calls)
    assert done.returncode == 0, done.stderr
    assert set(everything(checkout, "wav.scp").values()) == {str(calls.parent / f"call{i}.wav") for i in range(5)}
    assert set(everything(checkout, "text").values()) == {"hello | good day ann | yes"}
    assert {tuple(segment[1:]) for segment in read_segments(data(checkout, "train/segments")).values()} == {(0.5, 6.0)}
    assert not data(checkout, "converted").exists()
    for name in ("train", "dev", "test", "prompts"):
        done = checkout.run(["utils/validate_data_dir.sh", f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_lies_in_a_set_already_stays(checkout, calls):
    mine = [data(checkout, name) / "wav/mine.wav" for name in ("train", "train_text", "test", "prompts")]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    (data(checkout, "train_text") / "utt2spk").write_text("old-1 old\n")
    assert prepare(checkout, "--manifest", calls).returncode == 0
    assert prepare(checkout, "--manifest", calls, "--min-seconds", "2").returncode == 0
    assert [path.read_text() for path in mine] == ["mine"] * 4
    # Its tables are no set any more; all transcripts are in data/train.
    assert (data(checkout, "train_text") / ".backup/utt2spk").read_text() == "old-1 old\n"
    assert sorted(path.name for path in data(checkout, "train_text").iterdir()) == [".backup", "wav"]


def test_other_rates_and_two_channels_are_converted_once(checkout, tmp_path, calls):
    write_wav(tmp_path / "call1.wav", 6.5, rate=16000, channels=2)
    write_wav(tmp_path / "call2.wav", 6.5, rate=48000)
    done = prepare(checkout, "--manifest", calls)
    assert done.returncode == 0, done.stderr
    assert "1 conversations are recorded at less than 24000 Hz (call1, ...)" in done.stderr
    made = {path: path.stat().st_mtime_ns for path in data(checkout, "converted").iterdir()}
    for path in made:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (RATE, 1) and info.duration == pytest.approx(6.5, abs=1e-3)
    assert sorted(path.name.split(".")[0] for path in made) == ["call1", "call2"]
    prepare(checkout, "--manifest", calls)
    assert {path: path.stat().st_mtime_ns for path in data(checkout, "converted").iterdir()} == made


def test_turns_in_files_of_their_own_are_put_together(checkout, tmp_path):
    write_wav(tmp_path / "a/1.wav", 1.0)
    write_wav(tmp_path / "b/1.wav", 5.0, rate=16000)
    turns = [
        {"speaker": "ann", "audio": "a/1.wav", "text": "one | two"},
        {"speaker": "bob", "audio": "b/1.wav", "start": 1.0, "end": 3.0, "gap": 0.5, "text": "three"},
        {"speaker": "bob", "audio": "a/1.wav", "text": ""},
    ]
    manifest = write_manifest(tmp_path / "m.jsonl", [{"id": f"talk{i}", "turns": turns} for i in range(3)])
    done = prepare(checkout, "--manifest", manifest)
    assert done.returncode == 0, done.stderr
    assert set(everything(checkout, "text").values()) == {"one two | three"}
    (segment,) = read_segments(data(checkout, "train/segments")).values()
    assert segment[1:] == (0.0, 3.5)
    (path,) = table(checkout, "train", "wav.scp").values()
    wav, _ = soundfile.read(path)
    assert len(wav) == RATE * (1 + 0.5 + 2 + 0.3 + 1)  # 0.3 s before a turn that says nothing else
    assert np.abs(wav[RATE : RATE + 12000]).max() == 0 and np.abs(wav[RATE + 12000 : RATE + 12100]).max() > 0


def test_turns_of_the_test_chunks_are_written(checkout, calls, local):
    prepare(checkout, "--manifest", calls)
    turns = local.turn_voices.read_turns(data(checkout, "test/turns"))
    assert list(turns) == list(read_table(data(checkout, "test/text")))
    expected = [("ann", 0, 1.5), ("bob", 1.7, 2.5), ("bob", 2.6, 3.5), ("ann", 3.7, 5.5)]  # the chunk begins at 0.5 s
    for some in turns.values():
        assert [(t.speaker, pytest.approx(t.start), pytest.approx(t.end)) for t in some] == expected


def test_turns_are_compared_with_those_of_their_speaker_and_of_the_other(local):
    Turn = local.turn_voices.Turn
    turns = [Turn("a", 0, 2), Turn("b", 2, 4), Turn("a", 4, 6), Turn("b", 6, 8)]
    voices = np.repeat([1.0, 0.0, 0.9, 0.8], 2 * 16000)  # the second speaker's last turn is in the first one's voice

    def embed(wav):
        return np.array([wav.mean(), 1 - wav.mean()])

    found = local.turn_voices.compare(voices, turns, embed, 3.0)
    assert len(found.same) == 2 and len(found.other) == 3  # not the first two turns: both begin in the prompt
    assert min(found.same) == pytest.approx(0.2 / 0.68**0.5) and max(found.other) > 0.9
    assert sorted(found.nearest) == [False, True, True, True]
    assert sorted(found.chance) == pytest.approx([1 / 3, 1 / 3, 1 / 2, 1 / 2])


def test_a_recording_without_a_voice_is_named_and_left_out(local, tmp_path, monkeypatch, capsys):
    for name in "abc":
        write_wav(tmp_path / f"{name}.wav", 8)
    (tmp_path / "wav.scp").write_text("".join(f"{name} {tmp_path}/{name}.wav\n" for name in "abc"))
    Turn = local.turn_voices.Turn
    turns = dict.fromkeys("abc", [Turn("a", 0, 2), Turn("b", 2, 4), Turn("a", 4, 6), Turn("b", 6, 8)])
    sources, asked = Utterances(tmp_path, RATE, lower=True), []

    def embed(wav):
        asked.append(wav)
        if len(asked) == 5:  # of the second
            raise ValueError("no voice")
        return np.array([1.0, 2.0])

    with pytest.raises(ValueError, match="row: 1 of 3 utterances have no voices .b.; at least 95%"):
        local.turn_voices.row_of("row", sources, turns, embed, 3.0)
    assert "row: b is left out: no voice" in capsys.readouterr().err
    asked.clear()
    monkeypatch.setattr("soundstorm.tokens.merge.LEAST_SHARE", 0.6)
    assert local.turn_voices.row_of("row", sources, turns, embed, 3.0)["same"]["count"] == 4


def test_turns_to_compare_are_long_and_alone_and_not_across_the_prompt_s_end(local):
    Turn = local.turn_voices.Turn
    turns = [Turn("a", 0, 4), Turn("b", 4, 4.5), Turn("a", 5, 8), Turn("b", 7, 9), Turn("a", 9, 11)]
    chosen = local.turn_voices.choose(turns, prompt_seconds=3.0, min_seconds=1.0)
    assert chosen == [Turn("a", 0, 3.0), Turn("a", 9, 11)]


def test_splits_are_the_manifest_s_a_list_s_or_drawn(checkout, tmp_path, calls):
    lines = [call(f"call{i}", SHORT, **({"split": "test"} if i == 3 else {})) for i in range(5)]
    write_manifest(calls, lines)
    (tmp_path / "dev.list").write_text("call0\n")
    done = prepare(checkout, "--manifest", calls, "--dev-list", tmp_path / "dev.list")
    assert done.returncode == 0, done.stderr
    assert [sorted(table(checkout, name, "spk2utt")) for name in ("train", "dev", "test")] == [
        ["call1", "call2", "call4"], ["call0"], ["call3"],
    ]  # fmt: skip
    assert "2 speakers of test are heard in training too (ann, ...)" in done.stderr


def test_lists_leave_some_for_training_as_the_message_says(checkout, tmp_path, calls):
    (tmp_path / "dev.list").write_text("call0\ncall1\ncall2\n")
    (tmp_path / "test.list").write_text("call3\ncall4\n")
    options = ["--manifest", calls, "--dev-list", tmp_path / "dev.list", "--test-list", tmp_path / "test.list"]
    done = prepare(checkout, *options)
    assert done.returncode == 1
    assert "no conversation is left for train; see --dev-list and --test-list" in done.stderr
    (tmp_path / "dev.list").write_text("call0\n")
    assert prepare(checkout, *options).returncode == 0


def test_what_is_not_transcribed_trains_all_but_stage_5(checkout, calls):
    untold = [(speaker, start, end) for speaker, start, end, _ in SHORT]
    write_manifest(calls, [call(f"call{i}", untold if i in (1, 2) else SHORT, split=s) for i, s in
                           enumerate(("train", "train", "dev", "dev", "test"))])  # fmt: skip
    done = prepare(checkout, "--manifest", calls)
    assert done.returncode == 0, done.stderr
    assert set(table(checkout, "train", "spk2utt")) == {"call0", "call1"}
    assert set(table(checkout, "train_text", "spk2utt")) == {"call0"}
    assert not (data(checkout, "train") / "text").exists()
    assert "--text-train-set train_text --text-valid-set dev_text" in done.stderr


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.pop("id"), '"id" is None'),
        (lambda c: c.update(split="eval"), "\"split\" is 'eval', expected one of train, dev, test"),
        (lambda c: c.update(trun=[]), "unknown key 'trun'"),
        (lambda c: c.update(turns=[]), '"turns" is []'),
        (lambda c: c["turns"][0].pop("speaker"), 'turn 1: "speaker" is None'),
        (lambda c: c["turns"][1].update(end=1.0), "turn 2: from 2.2 to 1.0, expected seconds"),
        (lambda c: c["turns"][1].update(words=[["a", 1]]), "turn 2: words have ['a', 1]"),
        (lambda c: c.pop("audio"), 'turn 1: no "audio"'),
        (lambda c: c.update(audio="gone.wav"), "gone.wav: no such recording"),
        (lambda c: c["turns"][3].update(end=60.0), "a turn ends at 60.00 s"),
        (lambda c: c.update(id="call3"), "conversation call3 is there twice"),
        (lambda c: c.update(id="a/b"), "id 'a/b' has other characters"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(checkout, calls, change, message):
    lines = [call(f"call{i}", SHORT) for i in range(5)]
    change(lines[1])
    write_manifest(calls, lines)
    done = prepare(checkout, "--manifest", calls)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not data(checkout, "train").exists()


def test_no_source_is_reported(checkout):
    done = prepare(checkout)
    assert done.returncode == 1
    assert "no conversations; pass --manifest <file>, --dailytalk <dir>" in done.stderr


# ----------------------------------------------------------------------------------------------- RTTM, STM and CTM

RTTM = """SPKR-INFO call1 1 <NA> <NA> <NA> unknown ann <NA> <NA>
SPEAKER call1 1 0.5 1.5 <NA> <NA> ann <NA> <NA>
SPEAKER call1 1 2.2 0.8 <NA> <NA> bob <NA> <NA>
SPEAKER call1 1 3.0 0.1 <NA> <NA> ann <NA> <NA>
SPEAKER call1 1 4.2 1.8 <NA> <NA> ann <NA> <NA>
"""
CTM = """;; words
call1 1 0.6 0.4 hello 0.9
call1 1 1.1 0.4 bob
call1 1 1.95 0.5 good
call1 1 2.5 0.4 day
call1 1 4.5 0.5 yes
"""
STM = """;; turns
call1 1 ann 0.4 2.1 <o,f0,female> Hello, Bob!
call1 1 bob 2.1 3.1 good day
call1 1 inter_segment_gap 3.1 4.1 <o,,>
call1 1 ann 4.2 6.0 yes
"""


def write_annotation(folder, name, text):
    """The same for five recordings."""
    (folder / name).write_text("".join(text.replace("call1", f"call{i}") for i in range(5)))
    return folder / name


@pytest.mark.parametrize(
    "files, text, start",
    [
        (("rttm", "ctm"), "hello bob | good day | yes", 0.5),
        (("rttm", "stm"), "Hello, Bob! | good day | yes", 0.5),
        (("stm",), "Hello, Bob! | good day | yes", 0.4),
    ],
)
def test_turns_and_words_are_brought_together(checkout, calls, files, text, start):
    options = ["--audio", calls.parent]
    for name in files:
        options += [
            f"--{name}",
            write_annotation(calls.parent, f"all.{name}", {"rttm": RTTM, "ctm": CTM, "stm": STM}[name]),
        ]
    done = prepare(checkout, *options[2:])
    assert done.returncode == 1 and "--rttm and --stm need --audio <folder of their recordings>" in done.stderr
    done = prepare(checkout, *options)
    assert done.returncode == 0, done.stderr
    assert set(everything(checkout, "text").values()) == {text}
    assert {segment.start for segment in read_segments(data(checkout, "train/segments")).values()} == {start}


@pytest.mark.parametrize(
    "rttm, ctm, message",
    [
        ("SPEAKER call1 1 0.5\n", CTM, "all.rttm, line 1: 4 fields, expected 8 or more"),
        (RTTM.replace("0.5 1.5", "x 1.5"), CTM, "all.rttm, line 2: expected a number of seconds, got 'x'"),
        (RTTM.replace("call1", "tape1"), CTM, "no recording tape1.wav"),
        (RTTM, CTM.replace("4.5", "9.5"), "5 of 25 entries of"),
        (RTTM, None, "give --rttm with --ctm, --rttm with --stm, or --stm alone"),
    ],
)
def test_annotation_that_cannot_be_is_refused(checkout, calls, rttm, ctm, message):
    options = ["--audio", calls.parent, "--rttm", write_annotation(calls.parent, "all.rttm", rttm)]
    options += ["--ctm", write_annotation(calls.parent, "all.ctm", ctm)] if ctm else []
    done = prepare(checkout, *options)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # however busy the machine
@given(
    spans=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=8),
    words=st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.integers(0, 60), st.integers(1, 9)), max_size=12),
)
def test_words_go_to_the_turn_they_overlap_most(local, spans, words):
    turns = [turn(local, s, a, a + b, None) for s, a, b in spans]
    texts = [turn(local, s, a, a + b, f"w{i}") for i, (s, a, b) in enumerate(words)]
    spoken, lost = local.rttm.assign(turns, texts, keep_words=True)
    given = {word: number for number, t in enumerate(spoken) for word in t.text.split()}
    assert len(given) + lost == len(texts)
    speakers = {t.speaker for t in turns}
    for text in texts:
        best, place = 0, None
        for number, t in enumerate(turns):
            overlap = min(t.end, text.end) - max(t.start, text.start)
            if overlap > best and (text.speaker not in speakers or text.speaker == t.speaker):
                best, place = overlap, number
        assert given.get(text.text) == place


# ---------------------------------------------------------------------------------------------------------- DailyTalk


def write_dailytalk(root, dialogues=4):
    """The published layout: a folder for each dialogue, a file for each turn, speakers 0 and 1, 44.1 kHz."""
    for dialogue in range(dialogues):
        for number in range(11):
            path = root / f"data/{dialogue}/{number}_{number % 2}_d{dialogue}.wav"
            write_wav(path, 0.5, rate=44100)
            path.with_suffix(".txt").write_text(f"Turn {number}.\n")
    (root / "metadata.json").write_text("{}")
    return root


def test_dailytalk_as_published(checkout, tmp_path):
    done = prepare(checkout, "--dailytalk", write_dailytalk(tmp_path / "dailytalk"), "--gap", "0.5")
    assert done.returncode == 0, done.stderr
    assert set(everything(checkout, "text").values()) == {" | ".join(f"Turn {number}." for number in range(11))}
    assert set(everything(checkout, "utt2dur").values()) == {"10.500"}
    assert set(everything(checkout, "utt2spk").values()) == {f"dailytalk{dialogue:05d}" for dialogue in range(4)}
    assert "2 speakers of dev are heard in training too (dailytalk-0, ...)" in done.stderr
    (prompt,) = table(checkout, "prompts", "utt2dur").values()
    assert prompt == "9.500"


def test_a_folder_that_is_not_dailytalk_is_reported_with_where_it_is_published(checkout, tmp_path):
    done = prepare(checkout, "--dailytalk", tmp_path)
    assert done.returncode == 1
    assert "https://github.com/keonlee9420/DailyTalk" in done.stderr


@pytest.mark.integration
def test_stage_0_of_the_recipe_is_complete_after_one_run(checkout, calls):
    command = ["./run.sh", "--stage", "0", "--stop-stage", "0", "--local-data-opts", f"--manifest {calls}"]
    done = checkout.run(command, cwd=RECIPE)
    assert done.returncode == 0, done.stderr
    done = checkout.run(command, cwd=RECIPE)
    assert "complete, nothing to do" in done.stdout


@pytest.mark.parametrize("kind, content", [("ctm", CTM), ("stm", STM)])
def test_turns_of_a_file_without_words_are_kept_as_not_transcribed(local, calls, kind, content):
    rttm, words = write_annotation(calls.parent, "all.rttm", RTTM), calls.parent / f"one.{kind}"
    words.write_text(content)
    first, second, *_ = local.rttm.read_rttm(calls.parent, rttm=rttm, **{kind: words})
    chunks = [cut(local, entry.load().turns) for entry in (first, second)]
    assert [[chunk.text is None for chunk in some] for some in chunks] == [[True], [False]]


@pytest.mark.parametrize("table", ["rttm", "ctm"])
def test_a_byte_order_mark_costs_no_line(local, tmp_path, table):
    (tmp_path / "wav").mkdir()
    soundfile.write(tmp_path / "wav/call.wav", np.zeros(16000 * 5), 16000)
    (tmp_path / "rttm").write_text("SPEAKER call 1 0.0 2.0 <NA> <NA> ann <NA> <NA>\n")
    (tmp_path / "ctm").write_text("call 1 0.5 0.5 hello\ncall 1 1.0 0.5 there\n")
    (tmp_path / table).write_text("\ufeff" + (tmp_path / table).read_text())
    (entry,) = local.rttm.read_rttm(tmp_path / "wav", rttm=tmp_path / "rttm", ctm=tmp_path / "ctm")
    assert [turn.text for turn in entry.load().turns] == ["hello there"]
