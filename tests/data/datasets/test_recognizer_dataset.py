"""Augmented spectra with their characters."""

import numpy as np
import pytest
import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.characters import build_vocabulary, encode_text
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.data.datasets.recognizer_dataset import RecognizerDataset, augment, hide
from soundstorm.data.sampler import SeededIndex
from tests.training.test_recognizer_step import make_data

OFF = AugmentConfig(tempo=0, warp=0, blur=0, jitter=0, floor_probability=0, time_masks=0, mel_masks=0)


def test_augmentation_is_a_function_of_its_generator():
    spectra = torch.randn(60, 20)
    first, second = (augment(spectra, AugmentConfig(), np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    other = augment(spectra, AugmentConfig(), np.random.default_rng(4))
    assert first.shape != other.shape or not torch.equal(first, other)


def test_no_augmentation_returns_the_spectra():
    spectra = torch.randn(60, 20)
    assert torch.allclose(augment(spectra, OFF, np.random.default_rng(0)), spectra, atol=1e-6)
    assert torch.equal(
        hide(spectra.reshape(15, 80), 20, OFF, np.random.default_rng(0)), spectra.reshape(15, 80)
    )


def test_tempo_changes_the_length_only():
    config = AugmentConfig(tempo=0.2, warp=0, blur=0, jitter=0, floor_probability=0)
    ramp = torch.linspace(0, 1, 100)[:, None].expand(100, 5)
    results = [augment(ramp, config, np.random.default_rng(i)) for i in range(20)]
    lengths = {len(result) for result in results}
    assert min(lengths) >= 80 and max(lengths) <= 120 and len(lengths) > 5
    assert all(torch.allclose(r[:, 0], torch.linspace(0, 1, len(r)), atol=0.02) for r in results)


def test_warp_moves_a_peak_along_the_mel_axis():
    config = AugmentConfig(tempo=0, warp=0.2, blur=0, jitter=0, floor_probability=0)
    spectra = torch.zeros(10, 60)
    spectra[:, 30] = 1.0
    peaks = {int(augment(spectra, config, np.random.default_rng(i))[5].argmax()) for i in range(30)}
    assert min(peaks) in range(24, 30) and max(peaks) in range(31, 37)


def test_noise_fills_what_is_below_it_and_leaves_what_is_above():
    config = AugmentConfig(tempo=0, warp=0, blur=0, jitter=0, floor_probability=1)
    quiet, loud = torch.full((50, 20), -9.2), torch.full((50, 20), 2.0)
    generator = np.random.default_rng
    assert (augment(quiet, config, generator(1)) > quiet).all()
    assert torch.allclose(augment(loud, config, generator(1)), loud, atol=0.02)


def test_spans_of_time_and_of_bands_are_hidden_in_all_stacked_spectra():
    config = AugmentConfig(time_masks=2, mel_masks=2)
    frames = torch.ones(30, 4 * 20)
    hidden = hide(frames, 20, config, np.random.default_rng(1)).view(120, 20) == 0
    bands, times = hidden.all(0), hidden.all(1)
    assert 0 < bands.sum() <= 8 and 0 < times.sum() <= 40
    assert torch.equal(hidden, bands[None] | times[:, None])


def test_dataset_keeps_only_utterances_with_text_and_collates_them(tmp_path):
    texts = make_data(tmp_path / "data", 3, seed=0)
    texts["s-001"] = ""
    vocabulary = build_vocabulary(texts.values())
    utterances = Utterances(tmp_path / "data", 16000)
    dataset = RecognizerDataset(
        utterances, texts, vocabulary, num_mels=20, stack=4, augmentation=AugmentConfig()
    )
    assert list(dataset.ids) == ["s-000", "s-002"] and len(dataset.durations) == 2
    batch = dataset.collate([dataset[SeededIndex(i, (0, i))] for i in range(2)])
    assert batch["frames"].shape == (2, max(batch["lengths"]), 80)
    expected = [n for utt_id in dataset.ids for n in encode_text(texts[utt_id], vocabulary)]
    assert batch["targets"].tolist() == expected


def test_data_without_any_text_is_refused(tmp_path):
    make_data(tmp_path / "data", 2, seed=0)
    with pytest.raises(ValueError, match="none of 2 utterances has a text"):
        RecognizerDataset(Utterances(tmp_path / "data", 16000), {}, {}, num_mels=20, stack=4)


class Brief(Utterances):
    """Recordings of which one is cut to an instant."""

    def __init__(self, data_dir, instants, seconds):
        super().__init__(data_dir, 16000)
        self._samples = {self.ids[i]: int(16000 * seconds) for i in instants}
        self._durations = self.durations.copy()
        self.durations[list(instants)] = seconds

    def read(self, utt):
        return super().read(utt)[: self._samples.get(utt)]


@pytest.mark.parametrize("augmentation, least", [(None, 0.03), (AugmentConfig(tempo=0.4), 0.05)])
def test_what_is_shorter_than_a_frame_is_named_and_left_out(tmp_path, caplog, augmentation, least):
    texts = make_data(tmp_path / "data", 20, seed=0)
    sizes = {"num_mels": 20, "stack": 4, "augmentation": augmentation}
    vocabulary = build_vocabulary(texts.values())
    dataset = RecognizerDataset(Brief(tmp_path / "data", [3], least - 0.01), texts, vocabulary, **sizes)
    assert "1 of 20 utterances are shorter than a frame" in caplog.text and "s-003; they are" in caplog.text
    assert "s-003" not in dataset.ids and len(dataset) == len(dataset.durations) == 19
    with pytest.raises(ValueError, match="2 of 20 .*s-003, s-004. At least 95 %"):
        RecognizerDataset(Brief(tmp_path / "data", [3, 4], 0.02), texts, vocabulary, **sizes)
    dataset = RecognizerDataset(Brief(tmp_path / "data", [3], least), texts, vocabulary, **sizes)
    batch = dataset.collate([dataset[SeededIndex(3, (0, seed))] for seed in range(20)])
    assert (batch["lengths"] > 0).all()
