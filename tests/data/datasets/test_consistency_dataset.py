"""Pairs of crops."""

import numpy as np
import pytest

from soundstorm.data import audio
from soundstorm.data.audio import Utterances, normalize
from soundstorm.data.datasets.consistency_dataset import ConsistencyDataset, draw_crops
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.data.sampler import SeededIndex
from tests.training.test_consistency_step import make_data


def test_crops_do_not_overlap_and_keep_their_limits():
    generator = np.random.default_rng(0)
    for _ in range(300):
        num = int(generator.integers(20, 200))
        first, second = sorted(draw_crops(num, 10, 40, generator))
        assert 0 <= first[0] < first[1] <= second[0] < second[1] <= num
        assert all(10 <= end - start <= min(40, num // 2) for start, end in (first, second))


def test_either_crop_comes_first():
    generator = np.random.default_rng(0)
    assert {draw_crops(100, 10, 20, generator)[0][0] < 40 for _ in range(50)} == {True, False}


def test_a_recording_too_short_for_two_crops_is_refused():
    with pytest.raises(ValueError, match="do not hold two crops"):
        draw_crops(19, 10, 40, np.random.default_rng(0))


def test_crops_are_a_function_of_the_draw(tmp_path):
    utterances = Utterances(make_data(tmp_path / "data", 3, 0), 16000)
    dataset = ConsistencyDataset(utterances, CropConfig(0.2, 0.4), do_normalize=True)
    first, second = dataset[SeededIndex(1, (7, 0, 1))], dataset[SeededIndex(1, (7, 0, 1))]
    assert np.array_equal(first["first"], second["first"]) and abs(first["first"].mean()) < 1e-4
    batch = dataset.collate([first, dataset[SeededIndex(0, (7, 0, 0))]])
    assert batch["wavs"].shape == (4, max(batch["lengths"]))
    assert batch["lengths"][0] == len(first["first"]) and batch["lengths"][2] == len(first["second"])


def test_only_what_is_around_the_crops_is_decoded(tmp_path, monkeypatch):
    utterances, decoded = Utterances(make_data(tmp_path / "data", 3, 0), 16000), []
    dataset = ConsistencyDataset(utterances, CropConfig(0.2, 0.4), do_normalize=True)
    read = audio.read_blocks
    monkeypatch.setattr(audio, "read_blocks", lambda file, number: decoded.append(number) or read(file, number))
    for seed in range(20):
        wav = utterances.read(dataset.name(1))
        crops = draw_crops(len(wav), 3200, 6400, np.random.default_rng((7, 0, seed)))
        item = dataset[SeededIndex(1, (7, 0, seed))]
        for name, (start, end) in zip(("first", "second"), crops, strict=True):
            np.testing.assert_array_equal(item[name], normalize(wav[start:end]))
        assert decoded[-1] == max(end for _, end in crops) - min(start for start, _ in crops)
    assert len(decoded) == 40 and sum(decoded[1::2]) < 0.9 * sum(decoded[::2])


def test_recordings_too_short_for_two_crops_are_left_out(tmp_path):
    data = make_data(tmp_path / "data", 3, 0)
    utterances = Utterances(data, 16000)
    names, durations = list(utterances.ids), utterances.durations
    durations[1] = 0.4
    dataset = ConsistencyDataset(utterances, CropConfig(0.2, 0.4), do_normalize=False)
    assert [dataset.name(index) for index in range(len(dataset))] == [names[0], names[2]]
    np.testing.assert_array_equal(dataset.durations, durations[[0, 2]])


def test_a_corpus_of_short_recordings_is_refused(tmp_path):
    utterances = Utterances(make_data(tmp_path / "data", 3, 0), 16000)
    with pytest.raises(ValueError, match="0 of 3 recordings hold two crops of 2.0 s"):
        ConsistencyDataset(utterances, CropConfig(), do_normalize=False)


@pytest.mark.parametrize(
    "recordings, message", [(1, "2 are needed; add recordings"), (4, "lower crops.min_seconds to")]
)
def test_the_remedy_for_too_few_long_recordings_works(tmp_path, recordings, message):
    utterances = Utterances(make_data(tmp_path / "data", recordings, 0), 16000)
    with pytest.raises(ValueError, match=message) as caught:
        ConsistencyDataset(utterances, CropConfig(50.0, 60.0), do_normalize=False)
    if recordings > 1:
        seconds = float(str(caught.value).split("min_seconds to ")[1].split()[0])
        ConsistencyDataset(utterances, CropConfig(seconds, 60.0), do_normalize=False)
