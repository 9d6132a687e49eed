"""A pack that speaks: texts, scripts and recordings, in voices given in every way, and what is refused."""

import copy
import shutil
from dataclasses import replace

import huggingface_hub.constants
import numpy as np
import pytest
import soundfile

import soundstorm
from soundstorm.bin import pack_model
from soundstorm.data.errors import InputError
from soundstorm.decoding import speech_generator
from soundstorm.decoding.speech_generator import SpeechGenerator
from soundstorm.decoding.voice_prompt import Sound, loudest, prepare_prompt

OPTIONS = {"soundstorm": "--acoustic-model", "audiolm": "--acoustic-model", "text_to_semantic": "--text-to-semantic"}
EXPERIMENTS = ("soundstorm", "audiolm", "codec", "kmeans", "text_to_semantic")


@pytest.fixture(scope="module")
def folder(recipe_inputs, tmp_path_factory):
    """A pack, as utils/pack_model.sh makes it, and recordings."""
    root = tmp_path_factory.mktemp("speak")
    shutil.copytree(recipe_inputs, root / "recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "recipe")
        options = [word for name in EXPERIMENTS for word in (OPTIONS.get(name, f"--{name}"), name)]
        pack_model.main([*options, "--decode-config", "decode.yaml", "--output", str(root / "pack")])
    rng = np.random.default_rng(0)
    wav = rng.normal(0, 0.01, 16000 * 5)
    wav[32000:48000] *= 20
    soundfile.write(root / "long.wav", wav, 16000)
    soundfile.write(root / "stereo.flac", rng.normal(0, 0.1, (44100 * 2, 2)), 44100)
    shutil.rmtree(root / "recipe")
    return root


@pytest.fixture(scope="module")
def tts(folder):
    return SpeechGenerator.from_pretrained(folder / "pack", device="cpu")


def test_the_package_offers_it_and_the_pack_says_how_to_sample(tts):
    assert soundstorm.SpeechGenerator is SpeechGenerator
    assert tts.sampling.iterations == (2, 1) and tts.text_sampling.max_seconds == 1.0
    assert tts.sampling.temperature == 1.0  # what the file does not say


def test_the_card_says_how_it_speaks(folder):
    card = (folder / "pack/README.md").read_text()
    assert '.bin.speak --model PACK --text "your words" --prompt a_voice.wav --consent --output words.wav' in card
    assert ".bin.serve --model PACK" in card
    assert ".bin.speak --model PACK --continue speech.wav --consent --output more.wav" in card


def test_words_are_said_and_the_same_seed_says_them_alike(tts, folder):
    speech = tts("Red  ONE!", prompt=folder / "long.wav", seed=3)
    assert speech.text == "red one" and speech.sample_rate == 16000 and speech.duration > 0.1
    assert np.isfinite(speech.samples).all() and len(speech.samples) % 320 == 0
    np.testing.assert_array_equal(tts("red one", prompt=folder / "long.wav", seed=3).samples, speech.samples)
    other = tts("red one", prompt=folder / "long.wav", seed=4)
    assert other.samples.shape != speech.samples.shape or (other.samples != speech.samples).any()
    assert tts("red one").duration > 0.1  # in any voice


def test_sampling_can_be_chosen_and_what_is_no_option_is_refused(tts):
    other = tts.with_sampling(temperature=0.0, iterations=(1,))
    assert (other.sampling.temperature, other.sampling.iterations) == (0.0, (1,)) and tts.sampling.iterations == (2, 1)
    np.testing.assert_array_equal(other("red one").samples, tts.with_sampling(iterations=(1, 1))("red one").samples)
    for wanted, message in [
        ({"overlap": 1.0}, "unknown field 'overlap'"),
        ({"temperature": float("nan")}, "is nan"),
        ({"iterations": (10**8,)}, "each 1 to 10000"),
    ]:
        with pytest.raises(InputError, match=f"sampling: .*{message}"):
            tts.with_sampling(**wanted)
    with pytest.raises(InputError, match="seed is 1000000000000000000000, expected a number between"):
        tts("red one", seed=10**21)


def test_characters_of_no_training_text_are_left_out(tts):
    assert tts.readable("Re d;\u200b one—2") == "re d one"
    for marker in "|｜":  # which marks turns, in scripts only; NFKC makes one of the other
        assert tts.readable(f"red {marker} one") == "red one"
        with pytest.raises(InputError, match="script, line 1: '.' marks turns"):
            tts.dialogue(f"A: red {marker} one")
    with pytest.raises(InputError, match="nothing to pronounce in '\\?!'"):
        tts("?!")


def test_accents_of_no_training_text_do_not_tear_words_apart(tts, caplog):
    caplog.set_level("INFO")
    assert tts.readable("Rêd blüe n\u00f6ne xo\u0303 ßœ") == "red blue none o"
    assert "read without accents, as no training text had them: ê as e, õ as o, ö as o, ü as u" in caplog.text
    assert "not read, as no training text had them: x ß œ" in caplog.text
    assert speech_generator._known_letters("ß", frozenset("s")) == "ss"
    assert [speech_generator._known_letters("é", frozenset(known)) for known in ("eé", "e", "x")] == ["é", "e", " "]


def test_numbers_alone_are_refused_with_the_option_that_says_them(tts):
    with pytest.raises(InputError, match="nothing to pronounce in '1234'; expected words; --numbers en says num"):
        tts("1234")


def test_numbers_are_said_in_words_where_that_is_asked_for(tts, monkeypatch):
    monkeypatch.setattr(speech_generator, "spoken_form", lambda text, language: text.replace("1", f"ONE {language}"))
    assert tts("red 1 one").text == "red one"  # no text of the training had figures
    monkeypatch.setattr(tts, "numbers", "de")
    assert tts("red 1.").text == "red one de"
    assert tts.with_sampling(temperature=0.1).numbers == "de"


def test_a_voice_is_encoded_once_and_kept(tts, folder):
    voice = tts.prompt(folder / "long.wav")
    voice.save(folder / "voice.safetensors")
    expected = tts("red one", prompt=folder / "long.wav").samples
    for given in (voice, str(folder / "voice.safetensors"), soundfile.read(folder / "long.wav", dtype="float32")):
        np.testing.assert_array_equal(tts("red one", prompt=given).samples, expected)
    converted = tts.convert(folder / "voice.safetensors").samples
    np.testing.assert_array_equal(converted, tts.convert(voice).samples)
    assert len(converted) == 3 * 16000


def test_a_saved_voice_of_other_models_and_a_damaged_one_are_refused(tts, folder):
    voice, other = tts.prompt(folder / "long.wav"), copy.copy(tts)
    voice.save(folder / "voice.safetensors")
    other.infos = tts.infos[0], replace(tts.infos[1], fingerprint="x")
    for given, message in (
        (folder / "voice.safetensors", "voice.safetensors: a prompt of other models; save it again"),
        (voice, "acoustic tokens do not belong together: the prompt has"),
    ):
        for use in (lambda given: other("red", prompt=given), other.convert):
            with pytest.raises(InputError, match=message):
                use(given)
    (folder / "cut.safetensors").write_bytes((folder / "voice.safetensors").read_bytes()[:-9])
    with pytest.raises(InputError, match="cut.safetensors: not a saved prompt"):
        tts("red", prompt=folder / "cut.safetensors")


def test_the_words_of_a_prompt_are_read_before_the_text(tts, folder, monkeypatch):
    asked = []
    reader = tts.synthesizer.reader
    read = reader.semantic_tokens
    monkeypatch.setattr(
        reader, "semantic_tokens", lambda texts, *how, **more: asked.append(texts[0]) or read(texts, *how, **more)
    )
    tts("red one", prompt=folder / "stereo.flac", prompt_text="Blue")
    tts.dialogue("A: red\nB: one\n", prompts={"A": folder / "long.wav", "B": folder / "stereo.flac"})
    assert asked == ["blue red one", "red | one"]  # without all words of the prompts they are no text


def test_words_of_a_voice_that_was_encoded_without_are_refused(tts, folder):
    voice, spoken = tts.prompt(folder / "stereo.flac"), tts.prompt(folder / "stereo.flac", text="blue")
    with pytest.raises(InputError, match="words are given of a prompt encoded without; encode it again by"):
        tts("red one", prompt=voice, prompt_text="blue")
    expected = tts("red one", prompt=folder / "stereo.flac", prompt_text="blue").samples
    np.testing.assert_array_equal(tts("red one", prompt=spoken, prompt_text="blue").samples, expected)


def test_recordings_of_any_rate_and_two_channels_serve(tts, folder):
    speech = tts.dialogue([("A", "red"), ("B", "one")], prompts={"A": folder / "long.wav", "B": folder / "stereo.flac"})
    assert speech.text == "red | one" and speech.duration > 0.1


def test_long_texts_are_said_in_pieces(tts):
    text = "red one two. " * 60
    speech = tts.with_text_sampling(max_seconds=30.0)(text)
    assert speech.text.count("\n") >= 2 and speech.text.replace("\n", " ") == tts.readable(text)


def test_speech_is_said_in_another_voice_as_long_as_it_was(tts, folder, monkeypatch):
    monkeypatch.setattr("soundstorm.decoding.dialogue.SEGMENT_SECONDS", 0.5)
    for prompt in (None, folder / "stereo.flac"):
        speech = tts.convert(folder / "long.wav", prompt=prompt)
        assert speech.text is None and abs(speech.duration - 5) <= 0.1


def test_speech_goes_on_in_its_own_voice(tts, folder):
    speech = tts.continue_(folder / "stereo.flac", seconds=1.5, seed=2)
    assert speech.text is None and abs(speech.duration - 1.5) <= 0.02 and np.isfinite(speech.samples).all()
    np.testing.assert_array_equal(tts.continue_(folder / "stereo.flac", seconds=1.5, seed=2).samples, speech.samples)
    assert (tts.continue_(folder / "stereo.flac", seconds=1.5, seed=3).samples != speech.samples).any()
    assert tts.continue_(tts.prompt(folder / "long.wav"), seconds=0.5).duration > 0.4
    assert {"audiolm_semantic", "soundstorm"} <= set(speech.seconds)


def test_what_goes_on_is_the_end_of_the_recording(tts, folder, monkeypatch):
    heard, given = [], []
    encode, convert = tts.synthesizer.encode, tts.synthesizer.convert
    monkeypatch.setattr(tts.synthesizer, "encode", lambda wav, *more: heard.append(wav) or encode(wav, *more))
    monkeypatch.setattr(tts.synthesizer, "convert", lambda *a, **more: given.append(a[1]) or convert(*a, **more))
    tts.continue_(folder / "long.wav", seconds=0.2)
    wav = soundfile.read(folder / "long.wav", dtype="float32")[0]
    np.testing.assert_array_equal(heard[0], wav[-32000:])  # what the tiny stage was trained on: 2 s
    expected = encode(wav[-32000:])
    np.testing.assert_array_equal(given[0].codes, expected.codes[-len(given[0].codes) :])
    with pytest.raises(InputError, match="lasts 0.25 s, expected 1 s at least"):
        tts.continue_((NOISE[:4000], 16000))


def test_a_pack_without_the_first_stage_says_what_to_train(folder, recipe_inputs, tts, monkeypatch):
    other = SpeechGenerator.from_pretrained(recipe_inputs, device="cpu")
    with pytest.raises(FileNotFoundError, match="AudioLM's first stage, which this pack lacks; train one"):
        other.continue_(folder / "long.wav")
    monkeypatch.setattr(tts, "first_stage", None)
    with pytest.raises(FileNotFoundError, match="has no first stage of AudioLM"):
        tts.continue_(folder / "long.wav")


def test_files_say_that_they_are_synthetic(tts, tmp_path):
    speech = tts("red one", seed=7)
    for ending in (".wav", ".flac", ".ogg"):
        speech.save(tmp_path / f"new/x{ending}")
        with soundfile.SoundFile(tmp_path / f"new/x{ending}") as stream:
            assert stream.comment.startswith("Synthetic speech") and "pack, seed 7" in stream.comment
            assert abs(stream.frames - len(speech.samples)) < 320
    with pytest.raises(InputError, match="ends in '.mp4', expected one of .wav, .flac, .ogg"):
        speech.save(tmp_path / "x.mp4")


NOISE = np.random.default_rng(1).normal(0, 0.1, 48000).astype(np.float32)


@pytest.mark.parametrize(
    "prompt, message",
    [
        ("nowhere.wav", "nowhere.wav: no such recording"),
        ((NOISE[:4000], 16000), "the array: lasts 0.25 s, expected 1 s at least"),
        ((np.zeros(32000, np.float32), 16000), "the array: is silent"),
        ((NOISE * np.nan, 16000), "48000 samples are NaN"),
        ((NOISE, 0), "sample rate is 0, expected Hz"),
        ((NOISE[:0], 16000), "samples of shape \\(0,\\)"),
        (NOISE, "expected a path or \\(samples, sample rate\\), got ndarray"),
    ],
)
def test_prompts_that_cannot_serve_are_refused(tts, prompt, message):
    with pytest.raises((InputError, FileNotFoundError), match=message):
        tts("red one", prompt=prompt)


def test_scripts_and_prompts_must_fit(tts, folder):
    with pytest.raises(InputError, match="given for A, expected one for each voice of the script \\(A, B\\)"):
        tts.dialogue("A: red\nB: one\n", prompts={"A": folder / "long.wav"})
    with pytest.raises(InputError, match="words are given of prompts that are not: A"):
        tts("red", prompt_text="one")
    with pytest.raises(InputError, match="script, line 1: expected 'A: some words'"):
        tts.dialogue("red one")
    for nothing in ("", "# A: red\n", []):
        with pytest.raises(InputError, match="script: no turns; "):
            tts.dialogue(nothing)
    with pytest.raises(InputError, match="lasts 12.0 s, expected 10 s at most of a prompt whose words are given"):
        tts("red", prompt=(np.tile(NOISE, 4), 16000), prompt_text="one")


def test_what_is_no_pack_is_refused_with_what_to_do(folder):
    made = "its recipe makes it by ./run.sh --pack true, that of egs/mini by make -C tools mini"
    for place, download, advice in [
        ("org/nothing", False, "run first: hf download org/nothing"), ("exp/pack", False, made),
        ("exp/my--exp", True, made), ("egs/mini/exp/pack", True, made),
        ("packs/naïve", False, "give the directory that utils/pack_model.sh made"),
    ]:  # fmt: skip
        with pytest.raises(FileNotFoundError, match=f"{place}: no pack is there; .*{advice}$"):
            SpeechGenerator.from_pretrained(place, download=download)
    shutil.copytree(folder / "pack", folder / "bad")
    (folder / "bad/decode.yaml").write_text("decode:\n  iterations: many\n")
    with pytest.raises(InputError, match="bad/decode.yaml: decode: "):
        SpeechGenerator.from_pretrained(folder / "bad")


def test_a_pack_of_the_hub_is_called_by_its_name_there(folder, tts, tmp_path, monkeypatch):
    root = tmp_path / "models--org--small"
    shutil.copytree(folder / "pack", root / "snapshots/abc123")
    (root / "refs").mkdir()
    (root / "refs/main").write_text("abc123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert SpeechGenerator.from_pretrained("org/small", device="cpu").name == "org/small"
    monkeypatch.chdir(folder / "pack")
    assert SpeechGenerator.from_pretrained(".", device="cpu").name == tts.name == "pack"


def test_the_loudest_part_is_the_prompt():
    wav = np.random.default_rng(2).normal(0, 0.01, 16000 * 8)
    wav[64000:112000] *= 30
    slow = max(range(0, 80001, 1000), key=lambda start: float(np.square(wav[start : start + 48000]).sum()))
    assert abs(loudest(wav, 48000) - slow) <= 1000 and slow == 64000
    assert len(prepare_prompt(Sound(wav, 16000), 16000, "x")) == 48000
    assert len(prepare_prompt(Sound(wav, 16000), 24000, "x", whole=True)) == 192000
