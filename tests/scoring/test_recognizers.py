import numpy as np
import pytest
import torch

from soundstorm.models.recognizer import TrainedRecognizer
from soundstorm.scoring.recognizers import ClosedVocabulary, CtcModel, TrainedCtc, load_recognizer


class Processor:
    """A stand-in that returns a fixed reading."""

    def __init__(self, entries):
        self.feature_extractor = type("Extractor", (), {"sampling_rate": 16000})
        self.tokenizer = type("Tokenizer", (), {"unk_token": "<unk>"})
        self.tokenizer.decode = lambda ids, output_word_offsets: type("Output", (), {"word_offsets": entries})

    def __call__(self, wav, sampling_rate, return_tensors):
        class Inputs(dict):
            def to(self, device):
                return self

        return Inputs(input_values=torch.from_numpy(wav)[None])


class Model:
    device = "cpu"

    def __call__(self, input_values):
        return type("Output", (), {"logits": torch.zeros(1, input_values.shape[1] // 320, 4)})


def test_word_times_are_seconds_and_belong_to_scored_words():
    entries = [
        {"word": "Hello,", "start_offset": 5},
        {"word": "...", "start_offset": 20},
        {"word": "you<unk>", "start_offset": 50},
    ]
    recognizer = CtcModel("x", Model(), Processor(entries))
    (transcript,) = recognizer([np.zeros(32000, dtype=np.float32)])
    assert transcript.text == "hello you" and transcript.word_starts == pytest.approx((0.1, 1.0))


def test_a_local_model_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match="exp/recognizer/x: no transformers model there"):
        load_recognizer("exp/recognizer/x")


def trained(columns):
    """A recogniser whose columns are given frame by frame, 100 samples to a frame."""
    vocabulary = {"<blank>": 0, "|": 1, "a": 2, "b": 3, "<unk>": 4}
    return TrainedRecognizer(1000, vocabulary, lambda wav: np.log(np.eye(5)[columns] * 0.9 + 0.02))


@pytest.mark.parametrize(
    "columns, text, starts",
    [
        ([0, 2, 2, 0, 3, 0, 1, 0, 3], "ab b", (0.1, 0.8)),
        ([2, 2, 0, 2, 1, 1, 2], "aa a", (0.0, 0.6)),  # a blank between two equal letters makes two of them
        ([1, 1, 0, 1, 2], "a", (0.4,)),
        ([2, 4, 3], "a b", (0.0, 0.2)),  # an unknown letter belongs to no word
        ([0, 0, 0], "", ()),
    ],
)
def test_greedy_decoding_of_the_recipe_s_own(columns, text, starts):
    wav = np.zeros(100 * len(columns), dtype=np.float32)
    (transcript,) = TrainedCtc("x", trained(columns))([wav])
    assert transcript.text == text and transcript.word_starts == pytest.approx(starts)


def test_the_recipe_s_own_is_read_with_a_closed_vocabulary(tmp_path):
    (tmp_path / "text").write_text("u-1 ab\nu-2 bb\n")
    plain = TrainedCtc("x", trained([0, 2, 2, 0, 2, 0]))
    closed = ClosedVocabulary("closed:x", plain, str(tmp_path / "text"))
    wav = np.zeros(600, dtype=np.float32)
    assert plain([wav])[0].text == "aa" and closed([wav])[0].text == "ab"


def test_a_network_hears_a_recording_once_for_both_readings(tmp_path):
    (tmp_path / "text").write_text("u-1 ab\n")
    scores, heard = trained([0, 2, 2, 0, 3, 0]), []

    def listen(wav):
        heard.append(wav[0])
        return scores.log_probabilities(wav)

    plain = TrainedCtc("x", TrainedRecognizer(1000, scores.vocabulary, listen))
    closed = ClosedVocabulary("closed:x", plain, str(tmp_path / "text"))
    for level in (0.0, 1.0, 0.0):
        wav = np.full(600, level, dtype=np.float32)
        assert closed([wav])[0].text == plain([wav])[0].text == "ab"
    assert heard == [0.0, 1.0, 0.0]  # the last one only is remembered


def test_the_model_behind_a_closed_vocabulary_may_be_in_use_already(tmp_path):
    (tmp_path / "text").write_text("u-1 ab\n")
    plain = TrainedCtc("x", trained([0]))
    closed = load_recognizer("closed:x", vocabulary_text=str(tmp_path / "text"), load={"x": plain}.__getitem__)
    assert closed.name == "closed:x" and closed._model is plain


def test_a_recording_of_an_instant_is_silence_to_a_published_recogniser():
    recognizer = CtcModel("x", Model(), Processor([]))  # whose model has no frame of 20 ms either
    (transcript,) = recognizer([np.zeros(300, dtype=np.float32)])
    assert transcript.text == "" and transcript.word_starts == ()
