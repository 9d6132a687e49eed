import pytest
import torch

from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.models.recognizer_config import RecognizerConfig

torch.set_num_threads(1)
TINY = RecognizerConfig(num_mels=8, stack=2, width=16, expansion=2, blocks=2, kernel=5)


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
