"""Features of HuBERT and its like: a frame per hop, the right layer, no influence of padding, refusals."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, HubertModel

from soundstorm.data.audio import normalize
from soundstorm.models.hubert_pretraining import frame_padding
from soundstorm.models.ssl_model import load_ssl_model
from soundstorm.tokens.features import open_features
from soundstorm.tokens.ssl_features import SslFeatures
from tests.tokens.conftest import make_hubert, make_ssl_model

HOP = 320
FAMILIES = {  # as they are published: BASE and LARGE are different
    "hubert-base": ("hubert", {"feat_extract_norm": "group"}),
    "hubert-large": ("hubert", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "hubert-batch-norm": ("hubert", {"feat_extract_norm": "layer", "conv_pos_batch_norm": True}),
    "wavlm-base": ("wavlm", {"feat_extract_norm": "group", "normalize": False}),
    "wavlm-large": ("wavlm", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "wav2vec2-base": ("wav2vec2", {"feat_extract_norm": "group"}),
    "wav2vec2-large": ("wav2vec2", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "data2vec": ("data2vec-audio", {"feat_extract_norm": "layer"}),
}


@pytest.fixture(scope="module", params=FAMILIES)
def published(request, tmp_path_factory):
    """The directory of a tiny random model of each family."""
    model_type, settings = FAMILIES[request.param]
    return make_ssl_model(tmp_path_factory.mktemp("ssl") / "model", model_type, **settings)


def noises(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [(0.3 * rng.standard_normal(length) + 0.01).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("length", [320, 321, 639, 640, 3199, 3200, 5000])
def test_a_recording_has_a_frame_for_each_whole_hop(hubert_dir, length):
    (features,) = SslFeatures(str(hubert_dir), 2).extract(noises(length))
    assert features.shape == (length // HOP, 16) and features.dtype == np.float32


@pytest.mark.parametrize(
    "kernels, strides", [((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)), ((400, 3), (160, 2))]
)
def test_padding_makes_the_convolutions_of_other_models_give_a_frame_per_hop(tmp_path, kernels, strides):
    widths = (8,) * len(kernels)
    make_hubert(tmp_path / "h", conv_widths=widths, conv_kernels=kernels, conv_strides=strides)
    features = SslFeatures(str(tmp_path / "h"), 1)
    assert [len(f) for f in features.extract(noises(6400, 6719))] == [20, 20]


def test_base_needs_eighty_samples_more_than_its_hops():
    config = HubertModel.config_class()
    assert frame_padding(config) == (320, (40, 40))


def test_a_frame_is_centred_on_its_hop(tmp_path):
    # Without layers whatever a frame shows comes from its own receptive field.
    make_hubert(tmp_path / "h", normalize=False)
    model = HubertModel.from_pretrained(tmp_path / "h").eval()
    hop, (left, right) = frame_padding(model.config)
    wav = torch.zeros(1, 10 * hop, requires_grad=True)
    frames = model.feature_extractor(
        torch.nn.functional.pad(wav + 0.1 * torch.randn_like(wav), (left, right))
    )
    frames[0, :, 4].sum().backward()
    seen = wav.grad[0].nonzero()
    assert (seen.min() + seen.max()).item() / 2 == pytest.approx(4.5 * hop - 0.5, abs=1)


@pytest.mark.parametrize("kind", ["hubert_dir", "group_hubert_dir"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_padded_equals_unpadded(kind, layer, request):
    features = SslFeatures(str(request.getfixturevalue(kind)), layer)
    wavs = noises(3200, 9000, 6500)
    together = features.extract(wavs)
    for wav, batched in zip(wavs, together, strict=True):
        (alone,) = features.extract([wav])
        np.testing.assert_allclose(batched, alone, atol=2e-5)


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layer_equals_that_of_the_whole_model(tmp_path, layer, pre_norm):
    make_hubert(tmp_path / "h", pre_norm=pre_norm, normalize=True)
    (wav,) = noises(3200)
    (features,) = SslFeatures(str(tmp_path / "h"), layer).extract([wav])
    model = HubertModel.from_pretrained(tmp_path / "h").eval()
    padded = np.pad(normalize(wav), frame_padding(model.config)[1])
    with torch.no_grad():
        states = model(torch.from_numpy(padded)[None], output_hidden_states=True).hidden_states
    assert len(states) == 3
    np.testing.assert_allclose(features, states[layer][0].numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["hubert_dir", "group_hubert_dir"])
def test_features_equal_those_of_transformers_own_chain(kind, request):
    check_against_transformers(request.getfixturevalue(kind))


def test_features_of_every_family_equal_those_of_transformers_own_chain(published):
    check_against_transformers(published)


def check_against_transformers(directory):
    """Its feature extractor and its whole model, one recording at a time; ours all of them together."""
    extractor, model = (
        AutoFeatureExtractor.from_pretrained(directory),
        AutoModel.from_pretrained(directory).eval(),
    )
    time = np.arange(9600) / 16000
    chirp = 0.4 * np.sin(2 * np.pi * (200 + 3000 * time) * time)
    wavs = [chirp[:length].astype(np.float32) for length in (9600, 6400, 3200)]
    _, (left, right) = frame_padding(model.config)
    ours = [open_features(str(directory), layer).extract(wavs) for layer in (0, 1, 2)]
    for wav, *layers in zip(wavs, *ours, strict=True):
        samples = extractor(wav, sampling_rate=16000, return_tensors="pt").input_values
        # The zeros around a recording, which give it a frame to each hop, come after the normalisation.
        with torch.no_grad():
            output = model(torch.nn.functional.pad(samples, (left, right)), output_hidden_states=True)
        for features, wanted in zip(layers, output.hidden_states, strict=True):
            assert len(wanted[0]) == len(wav) // HOP
            np.testing.assert_allclose(features, wanted[0].numpy(), atol=2e-5)
        if not getattr(model.config, "do_stable_layer_norm", False):  # else a norm follows the last layer
            np.testing.assert_allclose(layers[-1], output.last_hidden_state[0].numpy(), atol=2e-5)


def test_features_of_no_family_depend_on_the_batch(published):
    features = SslFeatures(str(published), 2)
    wavs = noises(3200, 9000, 6500)
    for wav, batched in zip(wavs, features.extract(wavs), strict=True):
        np.testing.assert_allclose(batched, features.extract([wav])[0], atol=2e-5)


def test_loudness_does_not_matter_to_a_model_that_wants_normalised_recordings(tmp_path):
    (wav,) = noises(3200)
    for wanted in (True, False):
        make_hubert(tmp_path / str(wanted), normalize=wanted)
        features = SslFeatures(str(tmp_path / str(wanted)), 1)
        assert np.allclose(*features.extract([wav, 10 * wav]), atol=1e-4) == wanted


def test_the_fingerprint_tells_models_and_layers_apart(tmp_path, hubert_dir):
    make_hubert(tmp_path / "other", seed=1)
    make_hubert(tmp_path / "same")
    prints = [SslFeatures(str(hubert_dir), layer).fingerprint for layer in (1, 2)]
    prints += [SslFeatures(str(tmp_path / name), 2).fingerprint for name in ("other", "same")]
    assert len(set(prints)) == 3 and prints[1] == prints[3]


def test_a_layer_that_is_not_there_is_refused(hubert_dir):
    with pytest.raises(ValueError, match="layer 3 of .* it has layers 0 to 2"):
        SslFeatures(str(hubert_dir), 3)


def test_a_recording_without_a_frame_is_refused(hubert_dir):
    with pytest.raises(ValueError, match="319 samples is shorter than one frame of 320 samples"):
        SslFeatures(str(hubert_dir), 1).extract(noises(319))


def test_a_missing_directory_is_not_taken_for_a_hub_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such directory; expected 'mfcc'"):
        open_features(str(tmp_path / "nothing"), 1)


def test_an_empty_directory_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no self-supervised model could be loaded from there"):
        open_features(str(tmp_path), 1)


def test_damaged_weights_are_refused(tmp_path):
    make_hubert(tmp_path / "h")
    weights = tmp_path / "h" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises((ValueError, FileNotFoundError), match="h: "):
        open_features(str(tmp_path / "h"), 1)


def test_a_model_needs_a_layer_and_mfcc_has_none(hubert_dir):
    with pytest.raises(ValueError, match="need a layer; give --layer"):
        open_features(str(hubert_dir))
    with pytest.raises(ValueError, match="layer 3 of 'mfcc' was asked for, but it has none"):
        open_features("mfcc", 3)


def test_a_name_that_a_file_gave_is_looked_for_in_the_cache_only():
    for name in ("somebody/hubert", "a/b/c", "../../x"):
        with pytest.raises(FileNotFoundError, match="neither a directory nor one that has been downloaded"):
            load_ssl_model(name, local_only=True)


def test_damaged_hubert_directories_are_refused(tmp_path, hubert_dir):
    for number, (name, old, new, message) in enumerate(
        [
            (
                "config.json",
                b'"num_hidden_layers": 2',
                b'"num_hidden_layers": 3',
                "config.json, .* are missing",
            ),
            ("config.json", b'"hidden_size": 16', b'"hidden_size": "x"', "the model cannot be read"),
            ("preprocessor_config.json", b"{", b"[", "preprocessor_config.json: not JSON"),
            (
                "preprocessor_config.json",
                b"16000",
                b'"x"',
                "sampling_rate 'x', expected true or false and Hz",
            ),
        ]
    ):
        folder = shutil.copytree(hubert_dir, tmp_path / str(number))
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))
        with pytest.raises(ValueError, match=message):
            load_ssl_model(str(folder))


def test_a_model_of_another_kind_is_refused(tmp_path):
    AutoConfig.for_model("whisper").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model_type in config.json is 'whisper', expected hubert, wavlm"):
        open_features(str(tmp_path), 1)
    with pytest.raises(
        FileNotFoundError, match="no such directory; expected 'mfcc', .* w2v-bert: or whisper:"
    ):
        open_features(f"kaldi:{tmp_path}", 1)


def test_weights_are_read_from_safetensors_only(tmp_path):
    make_hubert(tmp_path / "h")
    weights = HubertModel.from_pretrained(tmp_path / "h").state_dict()
    (tmp_path / "h" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "h" / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        open_features(str(tmp_path / "h"), 1)
