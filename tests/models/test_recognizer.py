import numpy as np
import pytest
import torch

from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.models.recognizer import CtcNetwork, LogMel, build_vocabulary, encode_text, stack_frames
from soundstorm.models.recognizer_config import RecognizerConfig

torch.set_num_threads(1)
TINY = RecognizerConfig(num_mels=8, stack=2, width=16, expansion=2, blocks=2, kernel=5)


def test_the_alphabet_has_blank_boundary_characters_and_unknown():
    assert build_vocabulary(["ab b", "c"]) == {"<blank>": 0, "|": 1, "a": 2, "b": 3, "c": 4, "<unk>": 5}


def test_texts_become_numbers_with_boundaries_and_unknowns():
    assert encode_text("a dog", build_vocabulary(["a og"])) == [2, 1, 5, 4, 3]


@pytest.mark.parametrize("texts, message", [([], "no characters"), (["a | b"], "normalise them")])
def test_texts_without_an_alphabet_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        build_vocabulary(texts)


@pytest.mark.parametrize("frequency", [300, 1500, 6000])
def test_a_tone_is_loudest_in_the_band_around_it(frequency):
    wav = torch.sin(2 * torch.pi * frequency * torch.arange(16000) / 16000)
    spectra = LogMel(40)(wav)
    top = 2595 * np.log10(1 + 8000 / 700)
    centres = 700 * (10 ** (np.arange(1, 41) * top / 41 / 2595) - 1)
    assert spectra.shape == (101, 40)
    assert abs(int(spectra[50].argmax()) - int(np.abs(centres - frequency).argmin())) <= 1


def test_stacked_frames_by_loops():
    spectra = torch.randn(11, 3) * 5 + 2
    stacked = stack_frames(spectra, 4)
    assert stacked.shape == (2, 12)
    for band in range(3):
        column = spectra[:, band]
        expected = (column - column.mean()) / column.std(unbiased=False)
        for frame in range(2):
            for i in range(4):
                assert stacked[frame, 3 * i + band].item() == pytest.approx(expected[4 * frame + i].item(), abs=1e-3)


def test_the_level_of_a_recording_does_not_matter():
    wav = torch.randn(8000) * 0.1
    quiet, loud = (stack_frames(LogMel(20)(wav * gain), 4) for gain in (1.0, 5.0))
    assert torch.allclose(quiet, loud, atol=1e-3)


def test_silence_gives_numbers():
    assert torch.isfinite(stack_frames(LogMel(20)(torch.zeros(4000)), 4)).all()


def test_padding_does_not_change_an_utterance():
    torch.manual_seed(0)
    model = CtcNetwork(TINY, 5).eval()
    frames = torch.randn(2, 20, 16)
    together = model(frames, torch.tensor([20, 9]))
    frames[1, 9:] = 7.0
    assert torch.equal(model(frames, torch.tensor([20, 9]))[1, :9], together[1, :9])
    assert torch.allclose(model(frames[1:, :9], torch.tensor([9]))[0], together[1, :9], atol=1e-5)


@pytest.mark.parametrize(
    "cls, settings, message",
    [
        (RecognizerConfig, {"num_mels": 0}, "model.num_mels is 0"),
        (RecognizerConfig, {"stack": 0}, "model.stack is 0"),
        (RecognizerConfig, {"kernel": 4}, "model.kernel is 4, expected an odd number"),
        (AugmentConfig, {"tempo": 0.6}, "augment.tempo is 0.6"),
        (AugmentConfig, {"floor_probability": 2.0}, "augment.floor_probability"),
        (AugmentConfig, {"mel_masks": -1}, "augment.mel_masks is -1"),
    ],
)
def test_contradictory_settings_are_refused(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings)
