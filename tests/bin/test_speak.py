"""The command that speaks: one text, a script, a list that goes on, and consent."""

import io
import json
import shutil

import numpy as np
import pytest
import soundfile

from soundstorm.bin import speak
from soundstorm.data.errors import InputError
from soundstorm.decoding.speech_generator import SpeechGenerator


@pytest.fixture
def pack(recipe_inputs, tmp_path, monkeypatch):
    """A folder that is a recipe and a pack."""
    shutil.copytree(recipe_inputs, tmp_path / "pack")
    monkeypatch.chdir(tmp_path / "pack")
    monkeypatch.delenv(speak.CONSENT, raising=False)
    return tmp_path / "pack"


def say(*words):
    speak.main(["--model", ".", "--device", "cpu", *words])


def samples(path):
    return soundfile.read(path)[0]


def test_a_text_and_a_file_with_it_are_said_alike(pack):
    say("--text", "red one", "--output", "a.wav")
    (pack / "words.txt").write_text("red one\n")
    say("--text-file", "words.txt", "--output", "b.wav")
    np.testing.assert_array_equal(samples("a.wav"), samples("b.wav"))
    say("--text", "red one", "--temperature", "0.3", "--iterations", "3", "1", "--output", "c.flac")
    assert len(samples("c.flac")) == len(samples("a.wav")) and (samples("c.flac") != samples("a.wav")).any()


def test_a_script_is_said_by_its_voices(pack):
    prompts = ["--prompt", "A=wav/a-1.wav", "--prompt", "B=wav/a-2.flac", "--consent"]
    say("--script", "script.txt", *prompts, "--output", "a.wav")
    assert len(samples("a.wav")) > 1600


def test_a_list_goes_on_after_what_was_said(pack, caplog):
    lines = [{"id": "one", "text": "red"}, {"id": "two", "text": "blue", "prompt": "wav/a-1.wav"}]
    (pack / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    say("--list", "list.jsonl", "--consent", "--output", "out")
    first = (pack / "out/one.wav").stat().st_mtime_ns
    expected = (pack / "out/two.wav").read_bytes()
    (pack / "out/two.wav").unlink()
    say("--list", "list.jsonl", "--consent", "--output", "out")
    assert (pack / "out/one.wav").stat().st_mtime_ns == first and (pack / "out/two.wav").read_bytes() == expected


def test_words_of_a_list_may_have_any_character(pack):
    lines = [{"id": name, "text": f"red{end}one"} for name, end in zip("abcde", "\u2028\u2029\x85\x0b\n")]
    content = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (pack / "list.jsonl").write_text(content, encoding="utf-8", newline="")
    say("--list", "list.jsonl", "--output", "out")
    for line in lines:
        np.testing.assert_array_equal(samples(f"out/{line['id']}.wav"), samples("out/a.wav"))


def test_a_line_that_cannot_be_said_is_left_out_and_named(pack, caplog):
    lines = [{"id": "a", "text": "?"}, {"id": "b", "text": "red", "prompt": "no.wav"}, {"id": "c", "text": "one"}]
    (pack / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="2 of 3 texts were not said"):
        say("--list", "list.jsonl", "--consent", "--output", "out")
    assert [path.name for path in (pack / "out").iterdir()] == ["c.wav"]
    assert "out/a.wav is left out: nothing to pronounce" in caplog.text
    assert "out/b.wav is left out: no.wav: no such recording" in caplog.text


@pytest.fixture
def parallel_pack(pack):
    """The same with a parallel text-to-semantic model."""
    shutil.rmtree(pack / "text_to_semantic")
    (pack / "masked_text_to_semantic").rename(pack / "text_to_semantic")
    (pack / "decode.yaml").write_text("masked_text:\n  max_seconds: 8.0\n")
    return pack


def test_a_parallel_model_speaks_faster_and_as_long_as_it_is_told(parallel_pack):
    for name, words in {"usual": [], "fast": ["--speed", "2"], "met": ["--seconds", "1.5"]}.items():
        say("--text", "red one", *words, "--output", f"{name}.wav")
    seconds = {name: len(samples(f"{name}.wav")) / 16000 for name in ("usual", "fast", "met")}
    assert seconds["met"] == pytest.approx(1.5, abs=0.021)
    assert seconds["usual"] == pytest.approx(2 * seconds["fast"], abs=0.05)
    lines = [{"id": name, "text": "blue", "seconds": length} for name, length in (("a", 1), ("b", 0.5))]
    (parallel_pack / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    say("--list", "list.jsonl", "--output", "out")
    assert [len(samples(f"out/{name}.wav")) / 16000 for name in "ab"] == pytest.approx([1, 0.5], abs=0.021)
    for length in ("0", "9"):
        with pytest.raises(InputError, match="expected a frame to 8 s in one segment"):
            say("--text", "red one", "--seconds", length, "--output", "no.wav")


def test_what_does_not_fit_into_a_segment_is_told(parallel_pack, caplog):
    caplog.set_level("INFO")
    for speed, cut in (("1", " [cut after 1 s]"), ("4", "")):  # the untrained model says a letter in half a second
        (parallel_pack / "decode.yaml").write_text("masked_text:\n  max_seconds: 1.0\n")
        say("--text", "red", "--speed", speed, "--output", "a.wav")
        assert f"s, said: red{cut}\n" in caplog.text
        assert (len(samples("a.wav")) == 16000) == bool(cut)


@pytest.mark.parametrize(
    "options, most", [({}, 80), ({"speed": 0.5}, 40), ({"max_seconds": 2.0}, 20), ({"speed": 4.0}, 150)]
)
def test_segments_are_as_long_as_can_be_said(parallel_pack, options, most):
    speaker = SpeechGenerator.from_pretrained(".", device="cpu").with_text_sampling(**options)
    made = [line.partition(" [cut")[0] for line in speaker("red one two. " * 30).text.split("\n")]
    assert most - 13 <= max(map(len, made)) <= most


@pytest.mark.parametrize(
    "words, message",
    [
        (["--speed", "2"], "sampling of this model's semantic tokens: unknown field 'speed'"),
        (["--seconds", "2"], "a given duration cannot be met by an autoregressive"),
    ],
)
def test_an_autoregressive_model_takes_its_time(pack, words, message):
    (pack / "decode.yaml").unlink()
    with pytest.raises(InputError, match=message):
        say("--text", "red one", *words, "--output", "no.wav")


def test_speech_is_converted(pack):
    say("--convert", "wav/b-1.wav", "--prompt", "wav/a-1.wav", "--consent", "--output", "a.ogg")
    assert abs(len(samples("a.ogg")) / 16000 - soundfile.info("wav/b-1.wav").duration) < 0.1


def test_speech_goes_on(pack):
    described = json.loads((pack / "pack.json").read_text())
    described["parts"]["audiolm_semantic"] = "audiolm_semantic"
    (pack / "pack.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="needs that person's agreement"):
        say("--continue", "wav/b-1.wav", "--output", "a.wav")
    say("--continue", "wav/b-1.wav", "--seconds", "0.8", "--consent", "--output", "a.wav")
    assert abs(len(samples("a.wav")) / 16000 - 0.8) <= 0.02


def test_a_voice_needs_its_owners_consent(pack, monkeypatch):
    words = ["--text", "red", "--prompt", "wav/a-1.wav", "--output", "a.wav"]
    with pytest.raises(InputError, match="needs that person's agreement; if you have it, say so by --consent"):
        say(*words)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    with pytest.raises(InputError, match="nothing was made"):
        say(*words)
    assert not (pack / "a.wav").exists()
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    say(*words)
    monkeypatch.setenv(speak.CONSENT, "yes")
    say(*words)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "no lines"),
        ("red one", "line 1: not JSON"),
        ('{"id": "a"}', "line 1: expected words for id and text"),
        ('{"id": "a", "text": 3}', "line 1: expected words for id and text"),
        ('{"id": "../a", "text": "red"}', "line 1: id is '../a', expected a file's name"),
        ('{"id": "a", "text": "red"}\n\n{"id": "a", "text": "one"}', "line 3: id is 'a'"),
    ],
)
def test_lists_that_cannot_be_said_are_refused(pack, content, message):
    (pack / "list.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        say("--list", "list.jsonl", "--output", "out")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--script", "script.txt", "--prompt", "wav/a-1.wav"], "expected one A=... for every voice"),
        (["--text", "red", "--prompt", "a.wav", "--prompt", "b.wav"], "--prompt is given 2 times"),
        (["--text-file", "nowhere.txt"], "nowhere.txt: no such file"),
        *((["--continue", "wav/b-1.wav", option, "2"], "leave --prompt, --prompt-text and --speed out")
          for option in ("--prompt", "--prompt-text", "--speed")),
        *((["--convert", "wav/b-1.wav", option, "2"], "leave --prompt-text, --seconds and --speed out")
          for option in ("--prompt-text", "--seconds", "--speed")),
        (["--continue", "wav/b-1.wav"], "continued by AudioLM's first stage, which this pack lacks"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(pack, words, message):
    with pytest.raises((InputError, FileNotFoundError), match=message):
        say(*words, "--consent", "--output", "a.wav")


@pytest.mark.parametrize(
    "words, option",
    [
        (["--text", "red", "--prompt", "{}"], "--prompt"),
        (["--script", "script.txt", "--prompt", "A={}", "--prompt", "B=wav/b-1.wav"], "--prompt"),
        (["--convert", "{}"], "--convert"),
        (["--continue", "{}"], "--continue"),
        (["--text-file", "{}"], "--text-file"),
        (["--script", "{}"], "--script"),
        (["--list", "{}"], "--list"),
    ],
)
def test_what_is_given_is_not_written_over(pack, words, option):
    before = (pack / "wav/a-1.wav").read_bytes()
    (pack / "again").symlink_to("wav")
    with pytest.raises(InputError, match=f"--output would write over wav/a-1.wav, which {option} reads; give another"):
        say(*(word.format("wav/a-1.wav") for word in words), "--consent", "--output", "again/../wav/a-1.wav")
    assert (pack / "wav/a-1.wav").read_bytes() == before


def test_a_list_does_not_write_over_its_prompts(pack):
    for prompt, common in (({"prompt": "wav/a-1.wav"}, []), ({}, ["--prompt", "wav/a-1.wav"])):
        (pack / "list.jsonl").write_text(json.dumps({"id": "a-1", "text": "red", **prompt}) + "\n")
        with pytest.raises(InputError, match="write over wav/a-1.wav, which (--prompt|prompt in list.jsonl)"):
            say("--list", "list.jsonl", *common, "--consent", "--output", "wav")


@pytest.mark.parametrize("option", ["--text-file", "--script", "--list"])
def test_another_encoding_is_refused_with_what_converts_it(pack, option):
    (pack / "words.txt").write_bytes("A: größe".encode("latin-1"))
    with pytest.raises(InputError, match="words.txt: not UTF-8; convert it, .* words.txt, or -f WINDOWS-1252"):
        say(option, "words.txt", "--output", "a.wav")
