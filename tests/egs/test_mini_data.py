"""The corpus that egs/mini synthesises: what is said, by whom, and that the same settings give the same bytes."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="pip install espeakng-loader")
pytest.importorskip("soxr", reason="pip install soxr")

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "egs" / "mini" / "local"))

import corpus_plan  # noqa: E402
import grammar  # noqa: E402
import synthesise_corpus  # noqa: E402
import voice_report  # noqa: E402
import voices  # noqa: E402
from espeak import ESpeak  # noqa: E402

from soundstorm.data.data_dir import read_table  # noqa: E402
from soundstorm.data.data_dir_check import validate_data_dir  # noqa: E402

TINY = corpus_plan.Preset(
    voices=2, unseen=2, short=1, middle=0, long=0, dialogues=1, dev=6, test=(2, 0), test_unseen=(2, 0), test_dialogue=1
)
SENTENCE = "susan found seven small baskets in the village"


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(synthesise_corpus.PRESETS, "tiny", TINY)

    def make(where: Path, *, seed: int = 0, nj: int = 1) -> bool:
        return synthesise_corpus.synthesise("tiny", seed, where / "corpus", where / "data", nj)

    return make


def contents(where: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(where)): path.read_bytes() for path in where.rglob("*") if path.is_file()}
    assert files
    return files


@pytest.fixture(scope="module")
def full_plan():
    return corpus_plan.plan(corpus_plan.PRESETS["full"], seed=0)


def test_every_word_said_is_in_the_vocabulary_and_plain(full_plan):
    words = {word for planned in full_plan for word in planned.text.split()} - {"|"}
    assert words <= grammar.vocabulary()
    assert all(word.isalpha() and word.islower() for word in words)
    assert 120 <= len(words) <= 180


def test_no_sentence_comes_twice_in_whichever_sets(full_plan):
    texts = [planned.text for planned in full_plan]
    assert len(set(texts)) == len(texts)


def test_every_speaker_id_is_a_prefix_of_its_utterance_ids_which_are_unique(full_plan):
    assert all(planned.utt.startswith(planned.speaker + "-") for planned in full_plan)
    assert len({planned.utt for planned in full_plan}) == len(full_plan)


def test_unseen_voices_are_variants_that_nobody_in_training_has(full_plan):
    assert len(voices.TRAINING_VOICES) >= 24 and len(voices.UNSEEN_VOICES) >= 6
    heard = {voice for planned in full_plan if planned.set_name == "train" for voice, _ in planned.turns}
    unseen = {voice for planned in full_plan if planned.set_name == "test_unseen" for voice, _ in planned.turns}
    assert heard == set(voices.TRAINING_VOICES) and unseen == set(voices.UNSEEN_VOICES)
    assert not {voice.espeak for voice in heard} & {voice.espeak for voice in unseen}


def test_turns_of_a_dialogue_alternate_between_the_two_speakers_of_its_id(full_plan):
    dialogues = [planned for planned in full_plan if len(planned.turns) > 1]
    assert dialogues
    for planned in dialogues:
        names = [voice.name for voice, _ in planned.turns]
        assert planned.speaker == f"dlg-{names[0]}-{names[1]}"
        assert names == [names[at % 2] for at in range(len(names))]
        assert planned.text.count(" | ") == len(names) - 1


def test_test_sentences_fill_the_length_buckets_and_leave_speech_after_a_prompt(full_plan):
    of_test = [planned for planned in full_plan if planned.set_name == "test"]
    seconds = [len(synthesise_corpus.render(planned, 0).samples) / voices.SAMPLE_RATE for planned in of_test]
    assert 4.0 <= min(seconds) and max(seconds) <= 14.5
    assert sum(length >= 10 for length in seconds) >= 6


def test_the_long_set_fills_the_third_length_and_repeats_no_text_of_the_others(full_plan):
    long = corpus_plan.plan(corpus_plan.PRESETS["long"], seed=0)
    assert {planned.set_name for planned in long} == {"test_long"} and len({planned.speaker for planned in long}) >= 10
    seconds = [len(synthesise_corpus.render(planned, 0).samples) / voices.SAMPLE_RATE for planned in long]
    assert 20.0 <= min(seconds) and max(seconds) <= 30.0
    assert not {planned.text for planned in long} & {planned.text for planned in full_plan}


def test_a_sentence_sounds_the_same_whatever_was_said_before():
    voice, other = voices.TRAINING_VOICES[0], voices.TRAINING_VOICES[7]
    engine = ESpeak()
    first = voices.speak(engine, voice, SENTENCE)
    voices.speak(engine, other, "please open the window")
    again, elsewhere = voices.speak(engine, voice, SENTENCE), voices.speak(ESpeak(), voice, SENTENCE)
    for speech in (again, elsewhere):
        np.testing.assert_array_equal(speech.samples, first.samples)
        assert speech.phones == first.phones


def test_phones_follow_one_another_without_gaps_to_the_end(full_plan):
    for planned in (full_plan[0], next(planned for planned in full_plan if len(planned.turns) > 1)):
        speech = synthesise_corpus.render(planned, 0)
        at = 0.0
        for start, duration, name in speech.phones:
            assert start == pytest.approx(at, abs=1e-6) and duration > 0 and name and " " not in name
            at = start + duration
        assert at == pytest.approx(len(speech.samples) / voices.SAMPLE_RATE, abs=1e-6)
        assert speech.phones[0][2] == speech.phones[-1][2] == "sil"


@pytest.mark.parametrize("warp", [0.88, 1.13])
def test_phone_times_lie_on_the_sound_of_a_warped_voice(warp):
    voice = voices.Voice("x", "gmw/en-US+m1", warp=warp, pitch=50, rate=160)
    speech = voices.speak(ESpeak(), voice, "susan and the sister saw six sandwiches")
    hiss = np.zeros(len(speech.samples), dtype=bool)
    for start, duration, name in speech.phones:
        if name == "s":
            hiss[round(start * voices.SAMPLE_RATE) : round((start + duration) * voices.SAMPLE_RATE)] = True
    difference = np.diff(speech.samples, prepend=0.0) ** 2  # loud where high frequencies are
    share = np.mean(difference[hiss]) / np.mean(speech.samples[hiss] ** 2)
    elsewhere = np.mean(difference[~hiss]) / np.mean(speech.samples[~hiss] ** 2)
    assert hiss.mean() > 0.1
    assert share > 5 * elsewhere


def test_a_warp_moves_the_resonances_and_keeps_the_pace():
    def say(warp: float) -> np.ndarray:
        voice = voices.Voice("x", "gmw/en-US+m1", warp=warp, pitch=50, rate=160)
        return voices.speak(ESpeak(), voice, SENTENCE).samples

    def centre(wav: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(wav)) ** 2
        return float(np.sum(np.arange(len(power)) * power) / np.sum(power) / len(power))

    low, high = say(0.88), say(1.13)
    assert centre(high) > 1.1 * centre(low)
    assert len(high) == pytest.approx(len(low), rel=0.1)


def test_an_unknown_voice_is_refused_by_name():
    with pytest.raises(ValueError, match="no voice 'nobody'"):
        ESpeak().say("hello", "nobody", rate=160, pitch=50)


def test_two_processes_make_the_bytes_of_one(tiny, tmp_path, monkeypatch):
    for nj in (1, 2):
        (tmp_path / str(nj)).mkdir()
        monkeypatch.chdir(tmp_path / str(nj))
        assert tiny(Path("."), nj=nj)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_second_run_does_nothing_and_another_seed_says_something_else(tiny, tmp_path):
    assert tiny(tmp_path)
    before = contents(tmp_path)
    assert not tiny(tmp_path)
    assert contents(tmp_path) == before
    assert tiny(tmp_path, seed=1)
    assert contents(tmp_path)["data/train/text"] != before["data/train/text"]


def test_a_run_that_was_cut_short_is_taken_up_again(tiny, tmp_path):
    tiny(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "corpus" / "stamp.json").unlink()
    (tmp_path / "data" / "dev" / "text").unlink()
    assert tiny(tmp_path)
    assert contents(tmp_path) == before


def test_every_set_is_a_valid_data_directory(tiny, tmp_path):
    tiny(tmp_path)
    for set_name in corpus_plan.SETS[:-1]:  # TINY has no long ones
        validate_data_dir(tmp_path / "data" / set_name)


def test_equal_error_rate_agrees_with_counting_at_every_threshold():
    rng = np.random.default_rng(0)
    same, different = rng.normal(1.0, 1.0, size=200), rng.normal(-1.0, 1.0, size=300)
    best = (2.0, 0.0)
    for threshold in [*same, *different]:
        refused = sum(score < threshold for score in same) / len(same)
        accepted = sum(score >= threshold for score in different) / len(different)
        best = min(best, (abs(refused - accepted), (refused + accepted) / 2))
    assert voice_report.equal_error_rate(same, different) == pytest.approx(best[1], abs=0.01)


def test_the_report_names_the_two_voices_that_are_one():
    directions = np.eye(4)
    heard = {"a": directions[0], "b": directions[1], "c": directions[2], "twin": directions[0] + 0.1 * directions[3]}
    heard = {name: np.stack([vector, vector]) / np.linalg.norm(vector) for name, vector in heard.items()}
    report = voice_report.compare(heard, heard)
    assert report["most_similar_voices"] == ["a", "twin"]
    assert report["most_similar"] > 0.95
    assert report["nearest"]["twin"][0] == "a"


def test_what_lies_beside_the_corpus_stays(tiny, tmp_path):
    mine = [tmp_path / name for name in ("corpus/wav/mine.wav", "corpus/wav.new/mine.wav", "data/train/notes")]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    assert tiny(tmp_path) and tiny(tmp_path, seed=1)
    assert [path.read_text() for path in mine] == ["mine"] * 3
    for set_name in corpus_plan.SETS[:-1]:
        assert all(Path(wav).is_file() for wav in read_table(tmp_path / "data" / set_name / "wav.scp").values())
