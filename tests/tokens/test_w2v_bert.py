"""w2v-BERT features: 25 frames a second, each centred on its hop, whatever else is extracted."""

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.tokens.features import open_features
from soundstorm.tokens.kmeans import KMeans, KMeansInfo
from soundstorm.tokens.semantic import SemanticTokenizer

HOP = 640


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The directory of a tiny random model."""
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        feature_projection_input_dim=160,
    )
    folder = tmp_path_factory.mktemp("w2v") / "w2v-bert"
    Wav2Vec2BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def features(published):
    return open_features(f"w2v-bert:{published}", 1)


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


@pytest.mark.parametrize("samples, frames", [(640, 1), (1279, 1), (1280, 2), (16000, 25), (16639, 25)])
def test_a_frame_for_every_whole_hop(features, samples, frames):
    (found,) = features.extract([noise(samples)])
    assert found.shape == (frames, 24) and found.dtype == np.float32
    assert features.frame_rate == 25 and features.sample_rate == 16000


def test_a_frame_is_the_mean_of_two_of_the_model_s(features, published):
    from transformers import SeamlessM4TFeatureExtractor

    wav, model = noise(4 * HOP), Wav2Vec2BertModel.from_pretrained(published).eval()
    padded = np.concatenate([np.zeros(120), wav, np.zeros(120)])
    inputs = SeamlessM4TFeatureExtractor()(padded, sampling_rate=16000, return_tensors="pt", padding=False)
    with torch.no_grad():
        states = model(inputs["input_features"], output_hidden_states=True).hidden_states[1][0].numpy()
    assert len(states) == 8
    slow = np.stack([(states[2 * frame] + states[2 * frame + 1]) / 2 for frame in range(4)])
    np.testing.assert_allclose(features.extract([wav])[0], slow, atol=1e-6)


def test_what_happens_in_a_hop_is_seen_in_its_frame(published):
    """Before the first layer nothing looks around, so a click shows where it is; loudness is relative."""
    before = open_features(f"w2v-bert:{published}", 0)
    wav = 0.01 * noise(20 * HOP)
    clicked = wav.copy()
    clicked[7 * HOP + HOP // 2] += 1.0
    plain, changed = before.extract([wav])[0], before.extract([clicked])[0]
    assert np.abs(changed - plain).sum(1).argmax() == 7


def test_company_changes_nothing(features):
    wavs = [noise(3 * HOP, 1), noise(9 * HOP, 2), noise(5 * HOP, 3)]
    for alone, together in zip(wavs, features.extract(wavs)):
        np.testing.assert_array_equal(features.extract([alone])[0], together)


def test_the_fingerprint_is_of_weights_and_layer(features, published):
    assert open_features(f"w2v-bert:{published}", 1).fingerprint == features.fingerprint
    assert open_features(f"w2v-bert:{published}", 2).fingerprint != features.fingerprint


def test_tokens_at_25_frames_a_second_are_repeated_for_a_codec_at_50(features, published, tmp_path):
    frames = features.extract([noise(20 * HOP)])[0]
    info = KMeansInfo(
        features=features.source, layer=1, features_fingerprint=features.fingerprint, frame_rate=25.0,
        sample_rate=16000, num_clusters=3, normalization="none", library="sklearn", seed=0, portion=1.0,
        num_frames=20, inertia=0.0,
    )  # fmt: skip
    zeros, ones = np.zeros(24, np.float32), np.ones(24, np.float32)
    KMeans(info, frames[[3, 8, 15]], zeros, ones).save(tmp_path / "kmeans")
    tokenizer = SemanticTokenizer.load(tmp_path / "kmeans")
    (tokens,) = tokenizer.encode([noise(20 * HOP)])
    assert tokens[[3, 8, 15]].tolist() == [0, 1, 2]
    assert tokenizer.info.name == f"w2v-bert:{published} layer 1, 3 clusters"
    assert FrameRatio.of(tokenizer.info, TokenizerInfo("acoustic", "a", "1", 50.0, 12, 1024, 16000)) == FrameRatio(1, 2)


@pytest.mark.parametrize(
    "name, layer, message",
    [
        ("w2v-bert:{}", None, "need a layer"),
        ("w2v-bert:{}", 3, "layer 3 of .* was asked for, but it has layers 0 to 2"),
        ("w2v-bert:{}/nowhere", 1, "no w2v-BERT could be loaded from there"),
    ],
)
def test_what_cannot_be_is_refused(published, name, layer, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        open_features(name.format(published), layer)


def test_a_recording_without_a_frame_is_refused(features):
    with pytest.raises(ValueError, match="639 samples is shorter than one frame of 640 samples"):
        features.extract([noise(639)])
