"""Whisper features: transformers' own in a full window, centred frames, windows, no influence of padding."""

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperModel

from soundstorm.tokens.features import open_features
from soundstorm.tokens.whisper import HOP, OVERLAP, SILENCE, cut_windows
from tests.tokens.conftest import make_whisper

POSITIONS = 300  # six seconds, not thirty
LONGEST = POSITIONS - SILENCE


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The directory of a tiny random model."""
    return make_whisper(tmp_path_factory.mktemp("whisper") / "tiny", positions=POSITIONS)


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


@pytest.mark.parametrize(
    "samples, frames", [(320, 1), (639, 1), (640, 2), (16000, 50), (20 * 16000 + 319, 1000)]
)
def test_a_frame_for_every_whole_hop(published, samples, frames):
    features = open_features(f"whisper:{published}", 1)
    (found,) = features.extract([noise(samples)])
    assert found.shape == (frames, 16) and found.dtype == np.float32
    assert (features.frame_rate, features.sample_rate, features.source) == (50, 16000, f"whisper:{published}")


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_recording_that_fills_the_window_has_the_features_of_transformers_own_chain(published, layer):
    wav = noise(LONGEST * HOP)
    chain = WhisperFeatureExtractor(feature_size=20, chunk_length=10)  # longer than the window
    model = WhisperModel.from_pretrained(published)
    mels = chain(wav, sampling_rate=16000, return_tensors="pt").input_features[:, :, 1 : 2 * POSITIONS + 1]
    with torch.no_grad():
        states = model.eval().encoder(mels, output_hidden_states=True).hidden_states
    assert len(states) == 3 and states[layer].shape == (1, POSITIONS, 16)
    (found,) = open_features(f"whisper:{published}", layer).extract([wav])
    np.testing.assert_allclose(found, states[layer][0, :LONGEST].numpy(), atol=2e-5)


@pytest.mark.parametrize("samples", [640, 30000])
def test_with_all_the_silence_of_training_the_features_are_those_of_transformers_own_chain(published, samples):
    wav = noise(samples)
    chain = WhisperFeatureExtractor(feature_size=20, chunk_length=10)
    whole = np.pad(wav[: samples // HOP * HOP], (0, 10 * 16000))[: 10 * 16000]
    mels = chain(whole, sampling_rate=16000, return_tensors="pt").input_features[:, :, 1 : 2 * POSITIONS + 1]
    with torch.no_grad():
        states = WhisperModel.from_pretrained(published).eval().encoder(mels, output_hidden_states=True).hidden_states
    padded, bare = (open_features(f"{kind}:{published}", 1) for kind in ("whisper-padded", "whisper"))
    found = padded.extract([wav, noise(6400)])[0]
    np.testing.assert_allclose(found, states[1][0, : samples // HOP].numpy(), atol=2e-5)
    assert padded.fingerprint != bare.fingerprint and padded.source == f"whisper-padded:{published}"


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_padded_equals_unpadded(published, layer):
    features = open_features(f"whisper:{published}", layer)
    wavs = [noise(samples, seed) for seed, samples in enumerate((3200, 48000, 9100, 12 * 16000))]
    for wav, batched in zip(wavs, features.extract(wavs), strict=True):
        np.testing.assert_allclose(batched, features.extract([wav])[0], atol=2e-5)


def test_a_frame_is_centred_on_its_hop(published):
    """A click is seen in a frame as long before its middle as behind it."""
    before = open_features(f"whisper:{published}", 0)  # nothing looks around but the convolutions
    wav = noise(20 * HOP)
    wav[:HOP] *= 30  # the loudest place, which everything is relative to
    places = np.arange(4 * HOP, 12 * HOP, 16)
    clicked = np.tile(wav, (len(places), 1))
    clicked[np.arange(len(places)), places] += 1.0
    plain, changed = before.extract([wav])[0][7], [found[7] for found in before.extract(list(clicked))]
    seen = places[[np.abs(frame - plain).max() > 1e-3 for frame in changed]]
    assert 2 * HOP < seen[-1] - seen[0] < 4 * HOP
    assert (seen[0] + seen[-1]) / 2 == pytest.approx(7.5 * HOP, abs=16)


def test_long_recordings_are_read_in_windows_that_overlap(published):
    features = open_features(f"whisper:{published}", 1)
    wav = noise((LONGEST + 300) * HOP)
    (found,) = features.extract([wav])
    step = LONGEST - OVERLAP
    for start, stop, first, last in (
        (0, LONGEST, 0, step + OVERLAP // 2),
        (step, step + LONGEST, step + OVERLAP // 2, 2 * step + OVERLAP // 2),
        (2 * step, LONGEST + 300, 2 * step + OVERLAP // 2, LONGEST + 300),
    ):
        (window,) = features.extract([wav[start * HOP : stop * HOP]])
        np.testing.assert_allclose(found[first:last], window[first - start : last - start], atol=2e-5)


def test_windows_cover_every_frame_once_and_never_by_an_edge_inside():
    for frames in (1, 50, 99, 275, 276, 449, 450, 451, 1000, 5000):
        windows = cut_windows(frames, 275, 100)
        kept = [frame for _, _, first, last in windows for frame in range(first, last)]
        assert kept == list(range(frames))
        for start, stop, first, last in windows:
            assert 0 <= start <= first < last <= stop <= frames and stop - start <= 275
            assert first - start == (50 if start else 0) and (stop == frames or stop - last == 50)


def test_the_fingerprint_tells_layers_apart(published):
    prints = {open_features(f"whisper:{published}", layer).fingerprint for layer in (0, 1, 2)}
    assert len(prints) == 3 and open_features(f"whisper:{published}", 1).fingerprint in prints


@pytest.mark.parametrize(
    "name, layer, message",
    [
        ("whisper:{}", None, "need a layer"),
        ("whisper:{}", 3, "layer 3 of .* was asked for, but it has layers 0 to 2"),
        ("whisper:{}/nowhere", 1, "no Whisper could be loaded from there"),
        ("w2v-bert:{}", 1, "model_type in config.json is 'whisper', expected wav2vec2-bert"),
    ],
)
def test_what_cannot_be_is_refused(published, name, layer, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        open_features(name.format(published), layer)


def test_a_recording_without_a_frame_is_refused(published):
    with pytest.raises(ValueError, match="319 samples is shorter than one frame of 320 samples"):
        open_features(f"whisper:{published}", 1).extract([noise(319)])
