"""Scripts in passes, and what a pass goes on from."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_table
from soundstorm.data.data_dir_values import has_words
from soundstorm.decoding.dialogue import Passage, Prompt, choose_context, choose_prompts, lead_text, read_prompt
from soundstorm.decoding.script import Turn, joined_text, passes, read_script_text

WORDS = st.lists(st.sampled_from("yes no. perhaps not? then a-b extraordinarily,".split()), min_size=1, max_size=30)
TURNS = st.lists(st.tuples(st.sampled_from("AB"), WORDS), min_size=1, max_size=6)


def passage(frames, *voices):
    """Made speech of so many frames, or a prompt where no voices are given."""
    turns = tuple(Turn(voice, f"{voice.lower()} speaks") for voice in voices)
    text = joined_text(list(turns)) if turns else "hello | hi"
    return Passage(turns, text, np.zeros(frames, np.int64), np.zeros((frames, 2), np.int64))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # however busy the machine
@given(script=TURNS, most=st.integers(8, 80))
def test_passes_say_every_word_once_in_its_voice_and_are_short(script, most):
    turns = [Turn(voice, " ".join(words)) for voice, words in script]
    groups = passes(turns, most)
    whole = all(len(word) <= most for _, words in script for word in words)  # else letters, as words are taken apart
    said = [(turn.voice, part) for group in groups for turn in group for part in (turn.text.split() if whole else
            turn.text.replace(" ", ""))]  # fmt: skip
    assert said == [(voice, part) for voice, words in script for part in (words if whole else "".join(words))]
    for group in groups:  # a mark at the end of a word that was taken apart stays with it
        assert len(joined_text([turn for turn in group if has_words(turn.text)])) <= most


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("strange", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_line_ends_end_a_line(end, strange):
    turns = read_script_text(f"A: one{strange}two{end}{end}B: three{end}", "x")
    assert turns == [Turn("A", f"one{strange}two"), Turn("B", "three")]
    with pytest.raises(ValueError, match="x, line 2: expected 'A: some words'"):
        read_script_text(f"A: one{strange}two{end}three", "x")


def test_a_long_turn_is_taken_apart_at_ends_of_sentences():
    turns = [Turn("A", "One two. Three four five. Six? " + "seven " * 6)]
    assert [group[0].text for group in passes(turns, 20)] == [
        "One two.", "Three four five.", "Six?", "seven seven seven", "seven seven seven",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text, most, expected",
    [
        ("他来了。我走了！你呢？」好…好", 12, ["他来了。", "我走了！", "你呢？」", "好…好"]),
        ("他来了!我走了?你呢", 12, ["他来了!", "我走了?", "你呢"]),  # as NFKC has it
        ("वह आया। मैं गया।", 10, ["वह आया।", "मैं गया।"]),
        ("هل جاء؟ نعم جاء.", 9, ["هل جاء؟", "نعم جاء."]),
        ("他来了我走了你呢", 10, ["他来了", "我走了", "你呢"]),  # a syllable counts as three letters
        ("extraordinary", 5, ["extra", "ordin", "ary"]),
        ("3.5 is more.than 3", 12, ["3.5 is", "more.than 3"]),
        ("他", 1, ["他"]),
    ],
)
def test_text_of_any_script_is_taken_apart(text, most, expected):
    assert [turn.text for group in passes([Turn("A", text)], most) for turn in group] == expected


@pytest.mark.parametrize(
    "text", ["他来了我。他走了你呢好", "他来了我走了你呢。」", "... extraordinary ... ...", "a ----------------"]
)
def test_every_pass_has_something_to_say(text):
    groups = passes([Turn("A", text)], 12)
    assert all(any(map(str.isalpha, joined_text(group))) for group in groups)
    assert "".join(map(joined_text, groups)).replace(" ", "") == text.replace(" ", "")


def test_a_pass_goes_on_from_the_prompt_and_as_much_of_what_was_made_as_fits():
    prompt, made = passage(5), [passage(4, "A", "B"), passage(6, "A", "B"), passage(7, "A", "B")]
    assert choose_context(prompt, [], 20) == [prompt]
    assert choose_context(prompt, made[:1], 20) == [prompt, made[0]]
    assert choose_context(prompt, made[:2], 20) == [prompt, *made[:2]]
    assert choose_context(prompt, made, 20) == [prompt, *made[1:]]
    assert choose_context(prompt, made, 11) == choose_context(prompt, made, 4) == [prompt]  # the voice before all else
    assert choose_context(None, made, 20) == made
    assert choose_context(None, made, 6) == [made[2]]  # one passage at least
    assert choose_context(None, [], 20) == []


def test_words_before_a_pass_have_a_marker_where_the_voice_changes():
    prompt, first, second = passage(1), passage(1, "A", "B"), passage(1, "B")
    assert lead_text([prompt, first, second], Turn("B", "x")) == "hello | hi | a speaks | b speaks b speaks "
    assert lead_text([first], Turn("A", "x")) == "a speaks | b speaks | "
    assert lead_text([], Turn("A", "x")) == ""


@pytest.fixture
def data(tmp_path):
    """A data directory of two utterances of one recording, one of them transcribed."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_audio(tmp_path / "r.wav", np.zeros(32000, np.float32), 16000)
    write_table(folder / "wav.scp", {"r": str(tmp_path / "r.wav")})
    write_table(folder / "segments", {"u1": "r 0.5 1.0", "u2": "r 1.0 2.0"})
    write_table(folder / "text", {"u1": "one | two"})
    return folder


def test_a_prompt_can_be_a_part_of_a_recording(data):
    path = str(data.parent / "r.wav")
    assert read_prompt(f"{data}/u1") == Prompt(path, "one | two", 0.5, 1.0)
    assert read_prompt(f"{data}/u2") == Prompt(path, None, 1.0, 2.0)
    with pytest.raises(ValueError, match="no utterance 'u3'; name a prompt as <data directory>/<utterance>"):
        read_prompt(f"{data}/u3")


def test_prompts_are_utterances_or_recordings(data):
    turns = [Turn("B", "x"), Turn("A", "y")]
    chosen = choose_prompts(turns, [], [], [f"A={data}/u1", f"B={data}/u2"])
    assert [(prompt.start, prompt.voice) for prompt in chosen] == [(1.0, "B"), (0.5, "A")]
    with pytest.raises(ValueError, match="--prompt-utterance is missing for voice B"):
        choose_prompts(turns, [], [], [f"A={data}/u1"])
    with pytest.raises(ValueError, match="by --prompt and --prompt-text or by --prompt-utterance, not both"):
        choose_prompts(turns, ["A=a.wav"], [], [f"A={data}/u1"])
    with pytest.raises(ValueError, match="either one exchange or a prompt for each voice"):
        choose_prompts(turns, [], [], [f"A={data}/u1"], Prompt("a.wav", None))
