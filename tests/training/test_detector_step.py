import numpy as np
import pytest
import torch

from soundstorm.models.detector import Detector
from soundstorm.models.detector_config import DetectorConfig, SplitConfig
from soundstorm.training.detector_step import DetectorStep
from soundstorm.training.detector_training import train_detector
from soundstorm.training.training_config import TrainerConfig

TINY = DetectorConfig(crop_seconds=0.3, num_mels=16, width=16, blocks=2, kernel=3)


def test_the_loss_is_binary_cross_entropy():
    torch.manual_seed(0)
    model = Detector(TINY)
    batch = {"spectra": torch.randn(4, 30, 16), "labels": torch.tensor([0.0, 1.0, 1.0, 0.0])}
    loss = DetectorStep(model).loss("model", {"model": model}, batch)
    probability = model(batch["spectra"]).sigmoid()
    expected = sum(-(p if y else 1 - p).log() for p, y in zip(probability, batch["labels"]))
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-4) and loss.weight == 4
    assert int(loss.metrics["accuracy"][0]) == int(((probability > 0.5) == (batch["labels"] > 0.5)).sum())


def test_noises_of_two_colours_are_told_apart_and_a_trained_detector_is_loaded_again(tmp_path):
    rng = np.random.default_rng(0)
    white = [0.1 * rng.standard_normal(12000).astype(np.float32) for _ in range(4)]
    blue = [np.diff(wav, prepend=0).astype(np.float32) for wav in white]
    trainer = TrainerConfig(max_steps=40, batch_size=16, learning_rate=5e-3, warmup_steps=5, ema_decay=0.8)
    config = {"model": TINY, "training": trainer, "data": {"n": 1}}
    options = {"expdir": tmp_path, "config": config, "command": ["x"]}
    detect = train_detector(white[:2], blue[:2], **options)
    assert (detect(white[3]) < 0).all() and (detect(blue[3]) > 0).all()
    assert detect(white[3]).shape == (2,) and detect(white[3][:100]).shape == (0,)
    again = train_detector(white[:2], blue[:2], **options)
    np.testing.assert_array_equal(again(blue[2]), detect(blue[2]))
    with pytest.raises(ValueError, match="data.n was 1 and is now 2"):
        train_detector(white, blue, **{**options, "config": config | {"data": {"n": 2}}})


@pytest.mark.parametrize(
    "cls, settings, message",
    [
        (DetectorConfig, {"width": 0}, "model.width is 0"),
        (DetectorConfig, {"kernel": 4}, "model.kernel is 4, expected an odd number"),
        (DetectorConfig, {"crop_seconds": 0}, "model.crop_seconds is 0"),
        (SplitConfig, {"train_share": 1.0}, "split.train_share is 1.0"),
    ],
)
def test_contradictory_settings_are_refused(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings)
