"""The detector's network: what it sees of a crop."""

import pytest
import torch

from soundstorm.models.detector import Detector
from soundstorm.models.detector_config import DetectorConfig


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Detector(DetectorConfig(crop_seconds=0.2, num_mels=8, width=16, blocks=2, kernel=5)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_a_crop_is_judged_alike_alone_and_in_company(model):
    crops = torch.randn(5, model.crop, 8)
    together = model(crops)
    assert together.std() > 0.01
    for crop, logit in zip(crops, together, strict=True):
        torch.testing.assert_close(model(crop[None])[0], logit, rtol=1e-4, atol=1e-5)


def test_bands_are_normalized_with_the_training_recordings(model):
    crops = torch.randn(3, model.crop, 8)
    expected = model(crops)
    model.mean.copy_(torch.randn(8))
    model.deviation.copy_(torch.rand(8) + 0.5)
    torch.testing.assert_close(model(crops * model.deviation + model.mean), expected, rtol=1e-4, atol=1e-4)
    assert {"mean", "deviation"} <= set(model.state_dict())  # what is saved judges alike
