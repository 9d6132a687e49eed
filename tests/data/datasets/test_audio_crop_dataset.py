import numpy as np
import pytest
import soundfile
import torch

from soundstorm.data import audio
from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.datasets.audio_crop_dataset import AudioCropDataset
from soundstorm.data.sampler import SeededIndex

RATE = 16000


@pytest.fixture
def utterances(tmp_path):
    generator = np.random.default_rng(0)
    lines = []
    for name, samples in (("long", 20000), ("short", 3000)):
        write_audio(tmp_path / f"{name}.wav", 0.1 * generator.standard_normal(samples), RATE)
        lines.append(f"{name} {tmp_path / name}.wav\n")
    (tmp_path / "wav.scp").write_text("".join(lines))
    return Utterances(tmp_path, RATE)


def test_a_part_is_a_piece_of_the_utterance_of_the_length_asked_for(utterances):
    item = AudioCropDataset(utterances, 0.5)[SeededIndex(0, (1, 2))]
    whole = utterances.read("long")
    assert item["length"] == len(item["wav"]) == 8000 and item["utt_id"] == "long"
    assert any(np.array_equal(item["wav"], whole[start : start + 8000]) for start in range(len(whole) - 7999))


def test_the_same_draw_gives_the_same_part_and_another_draw_another(utterances):
    dataset = AudioCropDataset(utterances, 0.5)
    first, again, other = (dataset[SeededIndex(0, (1, seed))] for seed in (2, 2, 3))
    assert np.array_equal(first["wav"], again["wav"]) and first["chance"] == again["chance"]
    assert not np.array_equal(first["wav"], other["wav"])


def test_short_utterances_and_no_limit_give_whole_utterances(utterances):
    assert AudioCropDataset(utterances, 0.5)[SeededIndex(1, (0,))]["length"] == 3000
    assert AudioCropDataset(utterances, None)[SeededIndex(0, (0,))]["length"] == 20000


def test_durations_are_those_of_the_parts(utterances):
    np.testing.assert_allclose(AudioCropDataset(utterances, 0.5).durations, [0.5, 3000 / RATE])
    np.testing.assert_allclose(AudioCropDataset(utterances, None).durations, [1.25, 3000 / RATE])


def test_a_batch_is_padded_with_zeros(utterances):
    dataset = AudioCropDataset(utterances, 0.5)
    batch = dataset.collate([dataset[SeededIndex(0, (0,))], dataset[SeededIndex(1, (0,))]])
    assert batch["wav"].shape == (2, 8000) and batch["length"].tolist() == [8000, 3000]
    assert (batch["wav"][1, 3000:] == 0).all() and batch["chance"].dtype == torch.float64


def test_cached_audio_is_not_read_again(utterances, monkeypatch):
    dataset = AudioCropDataset(utterances, 0.5)
    dataset[SeededIndex(0, (0,))]
    monkeypatch.setattr(utterances, "read", lambda utt: pytest.fail("read again"))
    dataset[SeededIndex(0, (1,))]


def test_without_cache_audio_is_read_each_time(utterances, monkeypatch):
    dataset, reads, read = AudioCropDataset(utterances, 0.5, cache=False), [], utterances.read
    monkeypatch.setattr(utterances, "read", lambda utt, crop: reads.append(utt) or read(utt, crop))
    dataset[SeededIndex(0, (0,))], dataset[SeededIndex(0, (1,))]
    assert reads == ["long", "long"]


@pytest.mark.parametrize(("extension", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_16"),
                                                    ("flac", "PCM_24"), ("ogg", "VORBIS")])  # fmt: skip
@pytest.mark.parametrize("segment", [False, True])
def test_a_large_set_gives_the_same_crops_without_decoding_whole_recordings(
    tmp_path, monkeypatch, extension, subtype, segment
):
    wav, decoded = 0.1 * np.random.default_rng(0).standard_normal(200_000), []
    soundfile.write(tmp_path / f"a.{extension}", wav, RATE, subtype=subtype)
    (tmp_path / "wav.scp").write_text(f"a {tmp_path}/a.{extension}\n")
    if segment:
        (tmp_path / "segments").write_text("a a 1.03 11.71\n")
    utterances = Utterances(tmp_path, RATE)
    small = AudioCropDataset(utterances, 0.5)
    monkeypatch.setattr("soundstorm.data.datasets.audio_crop_dataset.CACHED_SECONDS", 5.0)
    large = AudioCropDataset(utterances, 0.5)
    read = audio.read_blocks
    monkeypatch.setattr(audio, "read_blocks", lambda file, number: decoded.append(number) or read(file, number))
    expected = [small[SeededIndex(0, (seed,))] for seed in range(20)]  # of the whole recording, which is kept
    assert len(decoded) == 1
    for seed, item in enumerate(expected):
        again = large[SeededIndex(0, (seed,))]
        np.testing.assert_array_equal(again["wav"], item["wav"])
        assert again["chance"] == item["chance"]
    assert len(decoded) == 21 and set(decoded[1:]) == ({decoded[0]} if extension == "ogg" else {8000})


def test_a_recording_that_ends_early_is_named_when_a_crop_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("soundstorm.data.datasets.audio_crop_dataset.CACHED_SECONDS", 0.0)
    content = tmp_path / "a.flac"
    soundfile.write(content, 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    (tmp_path / "wav.scp").write_text(f"a {content}\n")
    dataset = AudioCropDataset(Utterances(tmp_path, RATE), 0.9)
    content.write_bytes(content.read_bytes()[:8000])
    with pytest.raises(ValueError, match="a.flac: .*(truncated|cannot be read)"):
        dataset[SeededIndex(0, (0,))]


def test_a_length_of_nothing_is_refused(utterances):
    with pytest.raises(ValueError, match="crop_seconds is 0"):
        AudioCropDataset(utterances, 0)
