"""Whisper by CTranslate2: a conversion of random weights, whose files are real."""

import json
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import huggingface_hub.constants
import pytest

from soundstorm.data.errors import InputError
from soundstorm.scoring.faster_whisper_recognizer import PREFIX
from soundstorm.scoring.recognizers import load_recognizer
from tests.models.test_hub import MAIN, add, cache  # noqa: F401

from .conftest import make_whisper
from .test_seq2seq_recognizer import recordings
from .test_speech_from_elsewhere import recordings as elsewhere  # noqa: F401
from .test_speech_from_elsewhere import run

pytest.importorskip("faster_whisper", reason="pip install -e '.[faster-whisper]'")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Made by the command that the message about a missing file has."""
    folder = tmp_path_factory.mktemp("ctranslate2")
    published = make_whisper(folder / "published", as_published=True)
    with pytest.raises(FileNotFoundError, match="model.bin missing; make one by: ") as refused:
        load_recognizer(PREFIX + published)
    command = str(refused.value).partition("make one by: ")[2].replace("<new directory>", str(folder / "tiny"))
    command = command.replace("openai/whisper-base", published).replace(" preprocessor_config.json", "")
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    return folder / "tiny"


@pytest.fixture(scope="module")
def recognizer(converted):
    return load_recognizer(f"{PREFIX}{converted}", language="en")


def test_recordings_are_read_each_by_itself_with_times_and_without(recognizer):
    wavs = recordings(0.5, 1.5, 1.0, 0.3, 2.0)
    timed, plain = recognizer(wavs), recognizer.without_times(wavs)
    assert len({transcript.text for transcript in timed}) > 3, "a test that hears no difference"
    assert [transcript.written for transcript in timed] == [transcript.written for transcript in plain]
    assert recognizer(wavs[2:3]) == timed[2:3]
    for transcript, wav in zip(timed, wavs):
        starts = transcript.word_starts or ()
        assert list(starts) == sorted(starts) and max(starts, default=0) <= len(wav) / 16000
        assert transcript.word_starts is None or len(starts) == len(transcript.text.split())
    (long,) = recognizer(recordings(61.0))
    assert len(long.written) > 2 * max(len(transcript.written) for transcript in timed)


def segments(*parts):
    """What faster-whisper gives: (word, second) of each segment."""
    words = [[SimpleNamespace(word=word, start=start) for word, start in part] for part in parts]
    return iter([SimpleNamespace(text="".join(word.word for word in part), words=part) for part in words]), None


def test_marks_belong_to_the_word_before_and_words_keep_their_times(recognizer, monkeypatch):
    said = ([(" Mr.", 0.5), (" well", 1.0), ("-known", 1.5)], [(" 20!", 31.0)])
    monkeypatch.setattr(recognizer, "_model", SimpleNamespace(transcribe=lambda *_, **__: segments(*said)))
    short, long = recognizer(recordings(29.0, 35.0))
    assert long.written == "Mr. well-known 20!" and long.written_starts == (0.5, 1.0, 31.0)
    assert long.text == "mr well known 20" and long.word_starts == (0.5, 1.0, 1.0, 31.0)
    assert short.written == "Mr. well-known", "what is read after the end of a recording"


def test_a_reader_that_goes_round_in_circles_is_asked_again(recognizer, monkeypatch):
    asked = []

    def circling(wav, *, no_repeat_ngram_size=0, **_):
        asked.append(no_repeat_ngram_size)
        return segments([(" tea", 0.0)] * (1 if no_repeat_ngram_size else 40))

    monkeypatch.setattr(recognizer, "_model", SimpleNamespace(transcribe=circling))
    assert recognizer(recordings(1.0))[0].text == "tea" and asked == [0, 3]


def test_a_language_it_does_not_know_is_refused(converted):
    with pytest.raises(InputError, match="knows no language 'klingon', expected one of en"):
        load_recognizer(f"{PREFIX}{converted}", language="klingon")


def test_without_its_tokenizer_nothing_is_asked_of_the_network(converted, tmp_path):
    shutil.copytree(converted, tmp_path / "part")
    (tmp_path / "part/tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="no Whisper of CTranslate2, tokenizer.json missing; make one by"):
        load_recognizer(f"{PREFIX}{tmp_path}/part")


def test_where_it_is_not_installed_the_message_says_what_to_do(converted, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(InputError, match="needs faster-whisper .*; add it by: pip install faster-whisper"):
        load_recognizer(f"{PREFIX}{converted}")


def test_a_name_of_the_hub_is_found_in_its_cache(converted, recognizer, cache, monkeypatch):  # noqa: F811
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    add(cache, converted, MAIN, "main")
    wavs = recordings(2.0)
    for name in ("org/model", f"org/model@{MAIN}"):
        assert load_recognizer(PREFIX + name, language="en")(wavs) == recognizer(wavs)
    with pytest.raises(FileNotFoundError, match="hf download org/other --revision main$"):
        load_recognizer(f"{PREFIX}org/other")


def test_the_front_scores_with_it_and_again_when_the_model_has_changed(converted, elsewhere):  # noqa: F811
    shutil.copytree(converted, elsewhere / "whisper")
    output = elsewhere / "score.json"

    def score():
        run("--wav-scp", elsewhere / "elsewhere/wav.scp", "--text", elsewhere / "text", "--system", "Theirs",
            "--recognizer", f"{PREFIX}{elsewhere}/whisper", "--output", output)  # fmt: skip
        return output.stat().st_mtime_ns

    made = score()
    assert score() == made
    content = json.loads(output.read_text())
    assert content["metrics"]["wer"]["all"]["count"] == 3
    assert content["settings"]["recognizers"] == [f"{PREFIX}{elsewhere}/whisper"]
    config = json.loads((elsewhere / "whisper/config.json").read_text())
    (elsewhere / "whisper/config.json").write_text(json.dumps({**config, "suppress_ids": config["suppress_ids"][:-1]}))
    assert score() != made
