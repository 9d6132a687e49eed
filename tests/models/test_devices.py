"""Networks on their way to decoding."""

from copy import deepcopy

import pytest
import torch

from soundstorm.models import devices
from soundstorm.models.devices import choose_device, exact_products, fast_products, ready_for_single_steps
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import TextToSemanticConfig


@torch.no_grad()
def test_weights_laid_for_single_steps_are_the_same_weights():
    torch.manual_seed(0)
    sizes = {f"{side}_{name}": size for side in ("encoder", "decoder")
             for name, size in (("layers", 1), ("dim", 16), ("heads", 2), ("ffn_dim", 32))}  # fmt: skip
    model = build_text_to_semantic(TextToSemanticConfig(**sizes), text_vocab_size=30, num_tokens=12)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ready = ready_for_single_steps(deepcopy(model), "cpu")
    assert not ready.training
    before = model.state_dict()
    after = ready.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    wide = [m for m in ready.modules() if isinstance(m, torch.nn.Linear) and m.out_features >= m.in_features]
    assert wide and all(layer.weight.t().is_contiguous() for layer in wide)
    text, lengths = torch.randint(30, (2, 9)), torch.tensor([9, 6])
    outputs = []
    for network in (model.eval(), ready):
        state = network.begin(text, lengths)
        outputs.append(network.advance(torch.full((2, 1), network.start_id), state))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_faster_products_are_for_sampling_only_and_for_gpus_only():
    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    with pytest.raises(RuntimeError, match="in between"), fast_products():
        assert products.allow_tf32 == (before or torch.cuda.is_available())
        raise RuntimeError("in between")
    assert products.allow_tf32 == before


def test_products_and_convolutions_are_exact_for_as_long_as_they_are_asked_for():
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, convolutions.allow_tf32
    assert products.allow_tf32  # torch's own choice for convolutions
    try:
        with pytest.raises(RuntimeError, match="in between"), exact_products():
            assert not products.allow_tf32 and not convolutions.allow_tf32
            raise RuntimeError("in between")
        assert products.allow_tf32 and convolutions.allow_tf32
    finally:
        products.allow_tf32 = before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    assert choose_device("auto") == "cpu"
    for name in ("cuda:1", "gpu", "mps", "0"):
        with pytest.raises(ValueError, match=f"--device is {name}, expected auto or one of cpu, since"):
            choose_device(name)


def test_a_gpu_beyond_those_there_are_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda", "cuda", "cuda:1", "cpu"]
    with pytest.raises(ValueError, match="--device is cuda:2, expected auto or one of cpu, cuda, cuda:0, cuda:1$"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    "capabilities, wanted",
    [
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bf16"),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "no"),
        ({}, "bf16"),  # nothing is known
    ],
)
def test_bf16_is_left_to_what_multiplies_it(monkeypatch, capabilities, wanted):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    devices._has_bf16_products.cache_clear()
    try:
        assert devices.precision_on("cpu", "bf16") == wanted
        assert devices.precision_on("cuda", "bf16") == "bf16" and devices.precision_on("cpu", "no") == "no"
        assert devices.precision_on("cuda", "fp16") == "fp16" and devices.precision_on("cpu", "fp16") == "no"
    finally:
        devices._has_bf16_products.cache_clear()
