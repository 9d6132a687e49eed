"""Whisper as a recogniser: several recordings at a time, with the times of words."""

import logging

import numpy as np
import pytest

from soundstorm.scoring.intelligibility import Intelligibility, Transcript, normalized
from soundstorm.scoring.measures import Pair
from soundstorm.scoring.recognizers import load_recognizer
from soundstorm.scoring.seq2seq_recognizer import MOST_TOKENS, is_loop, most_tokens


@pytest.fixture(scope="module")
def recognizer(whisper_dir):
    return load_recognizer(whisper_dir)


def recordings(*seconds, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.1, round(n * 16000)).astype(np.float32) for n in seconds]


def test_a_batch_reads_as_one_by_one(recognizer):
    wavs = recordings(1.0, 4.0, 2.5, 0.3, 7.0)
    together = recognizer(wavs)
    alone = [recognizer([wav])[0] for wav in wavs]
    assert [transcript.written for transcript in together] == [transcript.written for transcript in alone]
    assert len({transcript.written for transcript in together}) > 1, "a test that hears no difference"
    assert [transcript.text for transcript in together] == [transcript.text for transcript in alone]


def test_words_have_times_within_the_recording(recognizer):
    seconds = np.linspace(0.5, 6, 8)
    read = zip(recognizer(recordings(*seconds)), seconds)
    timed = [(transcript, limit) for transcript, limit in read if transcript.word_starts is not None]
    assert timed
    for transcript, limit in timed:
        assert max(transcript.word_starts, default=0) <= limit
        assert len(transcript.word_starts) == len(transcript.text.split())
        assert len(transcript.written_starts) == len(transcript.written.split())
        assert list(transcript.word_starts) == sorted(transcript.word_starts)


def test_a_model_of_many_languages_is_told_which(whisper_dir):
    assert load_recognizer(whisper_dir, language="en")(recordings(1.0))
    with pytest.raises(ValueError, match="(?i)language"):
        load_recognizer(whisper_dir, language="klingon")(recordings(1.0))


def test_a_reader_that_goes_round_in_circles_is_asked_again(recognizer, monkeypatch):
    asked = []
    generate = recognizer._model.generate

    def circling(**given):
        asked.append((len(given["input_features"]), given.get("no_repeat_ngram_size")))
        output = generate(**given)
        if "no_repeat_ngram_size" not in given:
            (letter,) = recognizer._processor.tokenizer.encode("b", add_special_tokens=False)
            sequences = output["sequences"] if isinstance(output, dict) else output
            sequences[1] = letter
        return output

    monkeypatch.setattr(recognizer._model, "generate", circling)
    first, second, third = recognizer(recordings(0.7, 0.9, 1.0))
    assert asked == [(3, None), (1, 3)]
    monkeypatch.undo()
    assert (first, third) == tuple(recognizer(recordings(0.7, 0.9, 1.0))[::2])
    assert second == recognizer._generate(recordings(0.7, 0.9, 1.0)[1:2], True, no_repeat_ngram_size=3)[0]


@pytest.mark.parametrize(
    "text, word",
    [
        (
            "A loop is what a reader writes that goes round in circles, and this is none: every word is another one, "
            "as in whatever else people say when they have something to tell, for half a minute or so.",
            "tea ",
        ),
        (
            "भारत एक विशाल देश है जहाँ अनेक भाषाएँ बोली जाती हैं और हर राज्य की अपनी संस्कृति और परंपरा है। यहाँ के लोग मेहनती हैं और "
            "त्योहार बड़े उत्साह से मनाते हैं। दिल्ली देश की राजधानी है और मुंबई आर्थिक केंद्र माना जाता है। नदियाँ पहाड़ों से निकलकर "
            "मैदानों को हरा-भरा बनाती हैं, जहाँ किसान गेहूँ और धान उगाते हैं।",
            "नमस्ते ",
        ),
        (
            "தமிழ் மொழி உலகின் மிகப் பழமையான மொழிகளில் ஒன்றாகும். இது இந்தியாவிலும் இலங்கையிலும் சிங்கப்பூரிலும் "
            "பேசப்படுகிறது. இதன் இலக்கியம் இரண்டாயிரம் ஆண்டுகளுக்கும் மேலான வரலாறு கொண்டது.",
            "வணக்கம் ",
        ),
        (
            "საქართველო არის ქვეყანა კავკასიის რეგიონში, რომელიც მდებარეობს აღმოსავლეთ ევროპისა და დასავლეთ აზიის "
            "გზაჯვარედინზე. ქვეყნის დედაქალაქი და უდიდესი ქალაქი არის თბილისი.",
            "გმადლობთ ",
        ),
        ("ประเทศไทยเป็นประเทศที่ตั้งอยู่ในภูมิภาคเอเชียตะวันออกเฉียงใต้ มีกรุงเทพมหานครเป็นเมืองหลวงและใหญ่ที่สุด", "ใช่ "),
        ("今日は天気がいいので、友達と一緒に公園へ散歩に行って、コーヒーを飲みました。", "ありがとう"),
    ],
)
def test_a_loop_is_told_from_ordinary_text_in_any_script(text, word):
    assert not is_loop(text) and is_loop(word * 30)


def test_a_script_of_many_tokens_is_read_to_its_end_and_a_loop_is_not():
    for seconds in (1.0, 3.0, 6.0):
        assert most_tokens(seconds) > 2.5 * seconds * 22.6, "words a second, and tokens of a Telugu word"
    assert most_tokens(100.0) == MOST_TOKENS and not is_loop(None)


def test_more_than_thirty_seconds_are_read_to_their_end(recognizer):
    (wav,) = recordings(47.0)
    inputs = []
    generate = recognizer._model.generate
    recognizer._model.generate = lambda **given: inputs.append(given["input_features"].shape) or generate(**given)
    try:
        (transcript,) = recognizer([wav])
    finally:
        recognizer._model.generate = generate
    assert inputs == [(1, 80, 4700)] and isinstance(transcript, Transcript)


def test_words_of_several_tokens_and_marks_keep_their_first_time(recognizer):
    tokenizer = recognizer._processor.tokenizer
    text = " Good morning, Mr. Smith - the well-known 20"
    tokens = tokenizer.encode(text, add_special_tokens=False)
    starts = [tokenizer.decode([token]).startswith(" ") for token in tokens]
    times = np.cumsum(starts).tolist()  # the k-th word begins at k s
    transcript = recognizer._with_times([tokenizer.bos_token_id, *tokens, tokenizer.eos_token_id], [0, *times, 99])
    assert transcript.text == "good morning mr smith the well known 20"
    assert transcript.word_starts == (1, 2, 3, 4, 6, 7, 7, 8)
    assert transcript.written_starts == tuple(range(1, 9))


def test_a_normaliser_sees_what_was_written_on_both_sides_of_the_prompts_end():
    written = "$20 for Mr. Smith it's fine"
    transcript = Transcript(
        "20 for mr smith it's fine", (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
        written=written, written_starts=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
    )  # fmt: skip
    seen = []
    made = normalized(transcript, lambda text: seen.append(text) or text.lower().replace("$20", "20 dollars"), 2.5)
    assert seen == ["$20 for Mr.", "Smith it's fine"]
    assert made.text == "20 dollars for mr. smith it's fine"
    assert made.word_starts == (0.0, 0.0, 0.0, 0.0, 2.5, 2.5, 2.5)


def test_reading_ahead_gives_the_figures_of_one_at_a_time(recognizer):
    pairs = [Pair(f"u{n}", wav, wav, 16000, text="one cup of tea") for n, wav in enumerate(recordings(1, 3, 5))]
    plain, ahead = Intelligibility(recognizer), Intelligibility(recognizer)
    ahead.read_ahead(pairs)
    calls = []
    recognize, ahead._recognizer = ahead._recognizer, None  # whatever is asked now was not read ahead
    ahead._recognizer = type("Counted", (), {"sample_rate": 16000, "__call__": lambda self, w: calls.append(w)})()
    assert [ahead(pair) for pair in pairs] == [plain(pair) for pair in pairs]
    assert not calls and recognize is recognizer


def test_reading_says_nothing_of_limits(recognizer, caplog):
    """Transformers warned in every batch of a length and a number of new tokens, of which only one was meant."""
    logger = logging.getLogger("transformers.generation.utils")
    logger.addHandler(caplog.handler)
    try:
        recognizer([*recordings(1.0, 2.0), *recordings(31.0)])
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record for record in caplog.records if "max_length" in record.getMessage()]
