import pytest
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.models.recognizer import build_recognizer, build_vocabulary, encode_text
from soundstorm.models.recognizer_config import AugmentConfig, RecognizerConfig

torch.set_num_threads(1)


@pytest.fixture
def hubert():
    return HubertModel(
        HubertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                     conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(20, 16), feat_extract_norm="layer",
                     num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    )  # fmt: skip


def test_the_alphabet_has_blank_boundary_characters_and_unknown():
    assert build_vocabulary(["ab b", "c"]) == {"<pad>": 0, "|": 1, "a": 2, "b": 3, "c": 4, "<unk>": 5}


def test_texts_become_numbers_with_boundaries_and_unknowns():
    assert encode_text("a dog", build_vocabulary(["a og"])) == [2, 1, 5, 4, 3]


@pytest.mark.parametrize("texts, message", [([], "no characters"), (["a | b"], "normalise them")])
def test_texts_without_an_alphabet_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        build_vocabulary(texts)


def test_the_hubert_gives_its_weights(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]))
    ours, theirs = model.ctc.wav2vec2.state_dict(), hubert.state_dict()
    assert len(set(ours) & set(theirs)) >= 40
    assert all(torch.equal(ours[name], theirs[name]) for name in set(ours) & set(theirs))


def test_random_init_takes_the_architecture_only(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]), init="random")
    name = "encoder.layers.0.attention.k_proj.weight"
    assert not torch.equal(model.ctc.wav2vec2.state_dict()[name], hubert.state_dict()[name])


def test_fewer_layers_can_be_used(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]), num_layers=1)
    assert len(model.ctc.wav2vec2.encoder.layers) == 1


def test_more_layers_than_there_are_is_refused(hubert):
    with pytest.raises(ValueError, match="num_layers is 3, but the HuBERT has 2"):
        build_recognizer(hubert, build_vocabulary(["ab"]), num_layers=3)


def test_frozen_convolutions_get_no_gradient(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]), freeze="conv")
    model(torch.randn(1, 6400), torch.tensor([6400])).sum().backward()
    assert all(p.grad is None for p in model.ctc.wav2vec2.feature_extractor.parameters())


def test_on_a_frozen_hubert_only_the_convolutions_and_the_characters_learn(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]), freeze="all", adapter_layers=2, adapter_width=8)
    model(torch.randn(1, 6400), torch.tensor([6400])).square().sum().backward()
    learning = {name for name, parameter in model.ctc.named_parameters() if parameter.grad is not None}
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in learning} == {
        "wav2vec2.adapter",
        "lm_head.weight",
        "lm_head.bias",
    }


def test_it_hears_what_the_hubert_hears(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]), adapter_layers=2).eval()
    wav = torch.randn(1, 6400)
    theirs = hubert.eval()(wav, output_hidden_states=True).hidden_states
    ours = model.ctc.wav2vec2(wav, output_hidden_states=True).hidden_states
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs))
    assert model(wav, torch.tensor([6400])).shape[1] == model.num_frames(6400)


def test_a_scaled_character_layer_is_the_same_function_in_plain_transformers(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"]), head_scale=20.0).eval()
    wav, lengths = torch.randn(1, 6400), torch.tensor([6400])
    before = model(wav, lengths)
    plain = model.fold_scale()
    assert torch.allclose(plain(wav).logits, before, atol=1e-4) and torch.allclose(
        model(wav, lengths), before, atol=1e-4
    )


def test_padding_does_not_change_an_utterance(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"])).eval()
    wavs = torch.randn(2, 6400)
    wavs[1, 3200:] = 0
    together = model(wavs, torch.tensor([6400, 3200]))
    alone = model(wavs[1:, :3200], torch.tensor([3200]))
    frames = model.num_frames(3200)
    assert alone.shape[1] == frames
    # the last frames see the zeros through the convolutions' reach
    assert torch.allclose(together[1, : frames - 3], alone[0, : frames - 3], atol=1e-4)


def test_a_mask_changes_only_what_it_hides_at_the_input(hubert):
    model = build_recognizer(hubert, build_vocabulary(["ab"])).eval()
    wav, lengths = torch.randn(1, 6400), torch.tensor([6400])
    nothing = torch.zeros(1, model.num_frames(6400), dtype=torch.bool)
    some = nothing.clone()
    some[0, 3:6] = True
    assert torch.equal(model(wav, lengths), model(wav, lengths, nothing))
    assert not torch.allclose(model(wav, lengths), model(wav, lengths, some))


@pytest.mark.parametrize(
    "cls, settings, message",
    [
        (RecognizerConfig, {"init": "zeros"}, "model.init is 'zeros'"),
        (RecognizerConfig, {"init": "random", "freeze": "conv"}, "random weights cannot stay"),
        (RecognizerConfig, {"freeze": "some"}, "model.freeze is 'some'"),
        (RecognizerConfig, {"adapter_layers": -1}, "model.adapter_layers is -1"),
        (RecognizerConfig, {"mask_share": 1.0}, "model.mask_share is 1.0"),
        (RecognizerConfig, {"head_scale": 0.0}, "model.head_scale is 0.0"),
        (AugmentConfig, {"speed": 0.6}, "augment.speed is 0.6"),
        (AugmentConfig, {"noise_probability": 2.0}, "augment.noise_probability"),
        (AugmentConfig, {"noise_snr": (20.0, 10.0)}, "the lower one first"),
    ],
)
def test_contradictory_settings_are_refused(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(**settings)
