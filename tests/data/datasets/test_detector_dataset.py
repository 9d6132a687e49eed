"""Crops of recordings and of generated speech."""

import pytest
import torch

from soundstorm.data.datasets.detector_dataset import DetectorDataset
from soundstorm.data.sampler import SeededIndex


def test_crops_are_balanced_and_every_place_of_one_kind_is_as_likely():
    real = [torch.arange(n, dtype=torch.float32)[:, None] + 100 * i for i, n in enumerate((10, 40))]
    generated = [torch.full((12, 1), -1.0), torch.full((5, 1), -2.0)]  # the second is too short
    dataset = DetectorDataset(real, generated, 10)
    items = [dataset[SeededIndex(i % len(dataset), (0, i))] for i in range(2000)]
    assert all(item["spectra"].shape == (10, 1) for item in items)
    assert sum(item["label"] for item in items) == 1000
    assert all((item["spectra"] == -1).all() for item in items if item["label"])
    starts = [int(item["spectra"][0]) for item in items if not item["label"]]
    assert min(starts) == 0 and max(starts) == 130
    assert 10 < sum(start == 0 for start in starts) < 70  # 1 of 32 places
    assert len(dataset) == 10  # as many as whole crops of the larger kind, of both kinds


def test_too_short_recordings_are_refused():
    with pytest.raises(ValueError, match="0 of 1 recordings and 1 of 1 generated utterances hold a crop of 9 spectra"):
        DetectorDataset([torch.zeros(8, 2)], [torch.zeros(9, 2)], 9)
