import math

import pytest
import torch
from transformers import AutoConfig, AutoModel

from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.data.log_mel import LogMel, stack_frames
from soundstorm.models.consistency import (
    MAX_SCALE,
    ConsistencyNetwork,
    EarlyLayers,
    build_consistency,
    contrastive_loss,
)
from soundstorm.models.consistency_config import ConsistencyConfig
from soundstorm.training.consistency_step import ConsistencyStep
from tests.tokens.conftest import make_recognizer

torch.set_num_threads(1)


def tiny_model(stable=False, norm="layer", model_type="hubert"):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_kernel=(10, 8), conv_stride=(20, 16), feat_extract_norm=norm, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, do_stable_layer_norm=stable,
    )  # fmt: skip
    return AutoModel.from_config(config).eval()


def network():
    torch.manual_seed(1)
    model = ConsistencyNetwork(16, width=16, heads=2, embedding_dim=8)
    for parameter in model.parameters():  # a fresh Conformer only passes its input on
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_early_layers_give_what_the_whole_hubert_gives_there(layer, stable):
    wav = torch.randn(1, 6400)
    expected = tiny_model(stable)(wav, output_hidden_states=True).hidden_states[layer]
    assert torch.allclose(
        EarlyLayers(tiny_model(stable), layer)(wav, torch.tensor([6400])), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    "norm, stable, model_type",
    [
        ("layer", False, "hubert"),
        ("layer", True, "hubert"),
        ("group", False, "hubert"),
        ("layer", True, "wavlm"),
        ("layer", True, "wav2vec2"),
        ("layer", False, "data2vec-audio"),
    ],
)
def test_features_do_not_depend_on_the_company(norm, stable, model_type):
    features, lengths = EarlyLayers(tiny_model(stable, norm, model_type), 2), torch.tensor([6400, 3300, 4801])
    wavs = torch.zeros(3, 6400)
    for row, length in enumerate(lengths.tolist()):
        wavs[row, :length] = torch.randn(length, generator=torch.Generator().manual_seed(row))
    together, frames = features(wavs, lengths), features.num_frames(lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = features(wavs[row : row + 1, :length], lengths[row : row + 1])
        assert alone.shape[1] == frames[row]
        torch.testing.assert_close(together[row, : frames[row]], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 2])
def test_a_recogniser_gives_in_company_what_its_slow_twin_gives_alone(layer, tmp_path):
    twin = make_recognizer(tmp_path / "recognizer").stack
    config = ConsistencyConfig(layer=layer, width=16, heads=2)
    _, features, do_normalize, sample_rate = build_consistency(config, f"recognizer:{tmp_path}/recognizer")
    assert not do_normalize and sample_rate == 16000
    lengths = torch.tensor([6400, 3300, 4801, 320])
    wavs = torch.full((4, 6400), 7.0)  # padding that would be seen
    for row, length in enumerate(lengths.tolist()):
        wavs[row, :length] = 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(row))
    together, frames = features(wavs, lengths), features.num_frames(lengths)
    assert together.shape == (4, 20, features.width) and frames.tolist() == [20, 10, 15, 1]
    for row, length in enumerate(lengths.tolist()):
        spectra = stack_frames(LogMel(8)(wavs[row, :length]), 2)[: length // 320]
        expected = twin.first_norm(twin.embed(spectra))[None]
        for block in twin.blocks[:layer]:
            expected = block(expected, torch.ones(1, len(spectra), dtype=torch.bool))
        torch.testing.assert_close(together[row, : frames[row]], expected[0], rtol=1e-4, atol=1e-5)
        alone = features(wavs[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row, : frames[row]], alone[0], rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_not_there_is_refused(tmp_path):
    make_recognizer(tmp_path / "recognizer")
    with pytest.raises(ValueError, match="layer 3 of .*recognizer was asked for, but it has layers 0 to 2"):
        build_consistency(ConsistencyConfig(layer=3), f"recognizer:{tmp_path}/recognizer")
    with pytest.raises(ValueError, match="model.layer is 4, but the model has 3"):
        EarlyLayers(tiny_model(), 4)


def test_embeddings_have_unit_length_and_do_not_see_padding():
    features = torch.randn(2, 30, 16)
    embeddings = network().embed(features, torch.tensor([30, 12]))
    assert torch.allclose(embeddings.norm(dim=-1), torch.ones(2), atol=1e-6)
    alone = network().embed(features[1:, :12], torch.tensor([12]))
    assert torch.allclose(embeddings[1], alone[0], atol=1e-5)


def test_the_loss_equals_its_slow_twin():
    first, second = (torch.nn.functional.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    expected = 0.0
    for a, b in ((first, second), (second, first)):
        for i in range(4):
            similarities = [5.0 * float(a[i] @ b[j]) for j in range(4)]
            expected += -similarities[i] + math.log(sum(math.exp(s) for s in similarities))
    total, _ = contrastive_loss(first, second, torch.tensor(5.0))
    assert total.item() == pytest.approx(expected / 2, rel=1e-5)


def test_partners_that_agree_are_all_found():
    first = torch.eye(5)
    total, found = contrastive_loss(first, first, torch.tensor(50.0))
    assert found.item() == 10 and total.item() < 1e-3


def test_the_loss_is_in_float32_under_autocast():
    first, second = (torch.nn.functional.normalize(torch.randn(6, 8), dim=-1) for _ in range(2))
    expected, _ = contrastive_loss(first, second, torch.tensor(90.0))
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = contrastive_loss(first, second, torch.tensor(90.0))
    assert torch.equal(total, expected)


def test_the_temperature_is_limited_as_in_clip_and_comes_back_from_the_limit():
    model = network()
    step, optimizer = ConsistencyStep(model, None), torch.optim.SGD(model.parameters(), lr=0.01)
    with torch.no_grad():
        model.log_scale.fill_(10.0)
    step.after_step(1)
    assert model.scale().item() == pytest.approx(MAX_SCALE, rel=1e-4)
    vectors = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    contrastive_loss(vectors, vectors.flip(0), model.scale())[0].backward()  # partners that are hard to find
    optimizer.step()
    step.after_step(2)
    assert model.scale().item() < 0.99 * MAX_SCALE


@pytest.mark.parametrize(
    "cls, settings, message",
    [
        (ConsistencyConfig, {"layer": -1}, "model.layer is -1"),
        (ConsistencyConfig, {"width": 12, "heads": 4}, "model.width is 12"),
        (CropConfig, {"min_seconds": 3.0, "max_seconds": 2.0}, "crops.min_seconds is 3.0"),
    ],
)
def test_contradictory_settings_are_refused(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings)
