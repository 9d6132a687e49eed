"""The pre-training task: masks, heads, frames that are predicted, padding, the first filters, refusals."""

import pytest
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.data.datasets.dataset_configs import HubertDataConfig
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import (
    CosineHead,
    build_hubert_pretraining,
    frame_padding,
)

TINY = {
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_width": 16,
    "conv_widths": (8, 8),
    "conv_kernels": (40, 12),
    "conv_strides": (32, 10),
    "conv_norm": "layer",
    "position_kernel": 8,
    "position_groups": 2,
    "label_width": 8,
    "dropout": 0.0,
    "layer_drop": 0.0,
}


def build(**settings):
    torch.manual_seed(0)
    return build_hubert_pretraining(HubertPretrainingConfig(**{**TINY, **settings}), 5, sample_rate=16000)


def test_the_cosine_head_equals_its_formula():
    torch.manual_seed(0)
    head = CosineHead(6, 4, label_width=3, temperature=0.1)
    states = torch.randn(5, 6)
    logits = head(states)
    for frame, row in zip(states, logits, strict=True):
        projected = head.projection(frame)
        for label, logit in zip(head.labels, row, strict=True):
            cosine = projected @ label / (projected.norm() * label.norm())
            assert logit.item() == pytest.approx(cosine.item() / 0.1, abs=1e-4)


def test_logits_are_float32_under_autocast():
    torch.manual_seed(0)
    head, states = CosineHead(6, 4, label_width=3, temperature=0.1), torch.randn(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        logits, projected = head(states), head.projection(states).float()
    cosines = torch.nn.functional.cosine_similarity(projected[:, None], head.labels, dim=-1)
    assert logits.dtype == torch.float32 and torch.allclose(logits, cosines / 0.1, atol=1e-5)


def test_only_the_frames_asked_for_are_predicted():
    model = build().eval()
    left, right = frame_padding(model.hubert.config)[1]
    wavs = torch.randn(2, 10 * 320 + left + right)
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[0, 2:5] = mask[1, 7:] = True
    out = model(wavs, mask=mask, predict=mask)
    assert out.logits.shape == (6, 5) and out.logits.dtype == torch.float32 and out.states.shape == (2, 10, 16)
    everywhere = model(wavs, mask=mask, predict=torch.ones_like(mask)).logits.view(2, 10, 5)
    torch.testing.assert_close(out.logits, everywhere[mask])


def test_what_lies_under_the_mask_is_not_seen():
    model = build(conv_kernels=(32, 10)).eval()  # frames that do not overlap
    assert frame_padding(model.hubert.config) == (320, (0, 0))
    wavs = torch.randn(1, 10 * 320)
    other = wavs.clone()
    other[:, 3 * 320 : 6 * 320] = torch.randn(1, 3 * 320)
    mask = torch.zeros(1, 10, dtype=torch.bool)
    mask[:, 3:6] = True
    predict = torch.ones_like(mask)
    torch.testing.assert_close(
        model(wavs, mask=mask, predict=predict).logits, model(other, mask=mask, predict=predict).logits
    )
    nothing = torch.zeros_like(mask)
    seen = [model(x, mask=nothing, predict=predict).logits for x in (wavs, other)]
    assert not torch.allclose(*seen)


def test_padding_changes_no_prediction():
    model = build().eval()
    left, right = frame_padding(model.hubert.config)[1]
    wav = torch.nn.functional.pad(torch.randn(1, 8 * 320), (left, right))
    padded = torch.nn.functional.pad(wav, (0, 5 * 320))
    mask = torch.zeros(1, 13, dtype=torch.bool)
    mask[:, 2:4] = True
    valid = torch.arange(13)[None] < 8
    alone = model(wav, mask=mask[:, :8], predict=valid[:, :8]).logits
    batched = model(padded, mask=mask, predict=valid, lengths=torch.tensor([wav.shape[1]])).logits
    torch.testing.assert_close(alone, batched, atol=1e-5, rtol=1e-4)


def test_the_filterbank_start_hears_a_tone_in_the_filter_of_its_pitch():
    model = build(conv_widths=(64, 8), conv_kernels=(320, 12), filterbank_start=True)
    weight = model.hubert.feature_extractor.conv_layers[0].conv.weight.detach()[:, 0]
    peaks = torch.fft.rfft(weight, n=16000).abs().argmax(1)  # Hz
    assert torch.all(peaks[4:] >= peaks[:-4]) and peaks[0] < 120 and peaks[-1] > 6500
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(64))
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(320) / 16000)
    assert abs(peaks[(weight @ tone).abs().argmax()].item() - 1000) < 200


def test_the_default_is_hubert_base():
    config = HubertPretrainingConfig()
    with torch.device("meta"):
        ours = build_hubert_pretraining(config, 100, sample_rate=16000).hubert
        base = HubertModel(HubertConfig())
    count = sum(p.numel() for p in ours.parameters())
    assert count == sum(p.numel() for p in base.parameters()) and 94e6 < count < 95e6


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"conv_strides": (5, 2)}, "list 7, 7 and 2 convolutions; expected the same number"),
        ({"conv_norm": "batch"}, "model.conv_norm is 'batch', expected one of group, layer"),
        ({"width": 112, "num_heads": 3}, "model.width 112 is not a multiple of model.num_heads 3"),
        ({"mask_probability": 1.5}, "model.mask_probability is 1.5"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        HubertPretrainingConfig(**settings)


def test_an_example_needs_a_length():
    with pytest.raises(ValueError, match="data.crop_seconds is 0, expected more than 0"):
        HubertDataConfig(crop_seconds=0)
