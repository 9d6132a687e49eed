"""What saves memory or time must not change what is learned."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn

from soundstorm.models.audiolm import AudioLM
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import TextToSemanticConfig
from soundstorm.training.checkpoint import load_tensors
from soundstorm.training.layout import compile_network, find_blocks, recompute_activations
from soundstorm.training.step import Loss
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig

LEVELS, CODES = 3, 11


def small(dropout=0.1, layers=2):
    torch.manual_seed(0)
    config = SoundStormConfig(layers=layers, width=16, heads=2, inner=32, kernel=3, dropout=dropout)
    model = SoundStorm(config, num_levels=LEVELS, codebook_size=CODES, semantic_size=7)
    for parameter in model.parameters():  # a fresh model has zeros in front of every branch, and so no gradient there
        nn.init.normal_(parameter, std=0.3)
    return model


def batch(frames=20, seed=1):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(CODES, (2, frames, LEVELS), generator=generator)
    hidden = torch.rand(codes.shape, generator=generator) < 0.5
    target = (torch.rand(2, frames, 1, generator=generator) < 0.5).repeat(1, 1, LEVELS)
    target &= torch.arange(LEVELS) == torch.tensor([0, 2])[:, None, None]  # one level of each example
    lengths = torch.tensor([frames, frames - 4])
    return torch.randint(7, (2, frames), generator=generator), codes, hidden, target, lengths


def loss_of(model, inputs):
    total = torch.zeros(())
    for _, logits, tokens, _ in model(*inputs):
        total = total + nn.functional.cross_entropy(logits.float(), tokens, reduction="sum")
    return total


def gradients(model):
    """Of a step with dropout, and the bytes that the forward pass kept for it."""
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    torch.manual_seed(5)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = loss_of(model, batch())
    before = kept
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}, before


def test_activations_computed_again_give_equal_gradients_and_are_not_kept():
    plain, kept = gradients(small())
    model = small()
    names = list(model.state_dict())
    recompute_activations(model)
    again, kept_again = gradients(model)
    assert list(model.state_dict()) == names
    assert all(torch.equal(plain[name], again[name]) for name in plain) and any(plain[n].any() for n in plain)
    assert kept_again < 0.5 * kept


def test_without_gradients_nothing_is_computed_again():
    model, calls = small(), []
    recompute_activations(model)
    model.conformer.blocks[0].attention_dropout.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(*batch())
    assert len(calls) == 1
    loss_of(model, batch()).backward()
    assert len(calls) == 3


def test_blocks_are_found_in_every_large_model():
    text = build_text_to_semantic(
        TextToSemanticConfig(encoder_layers=3, decoder_layers=2, encoder_dim=16, decoder_dim=16, encoder_heads=2,
                             decoder_heads=2, head_dim=8, encoder_ffn_dim=16, decoder_ffn_dim=16),
        text_vocab_size=30, num_tokens=9,
    )  # fmt: skip
    assert len(find_blocks(text)) == 5 and len(find_blocks(small(layers=4))) == 4
    sizes = AudioLMConfig(layers=3, width=16, heads=2, head_dim=8, inner=16)
    assert len(find_blocks(AudioLM(sizes, condition_size=5, num_levels=2, level_size=4))) == 3
    with pytest.raises(ValueError, match="Linear has no blocks to compute again"):
        recompute_activations(nn.Linear(2, 2))


class Examples:
    """Eight examples of one length."""

    durations = np.ones(8)

    def __len__(self):
        return 8

    def __getitem__(self, draw):
        return np.random.default_rng(draw.index).normal(size=4).astype(np.float32)

    def collate(self, items):
        return {"x": torch.from_numpy(np.stack(items))}


class Step:
    phases = ("model",)

    def __init__(self):
        torch.manual_seed(0)
        self.networks = {"model": nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))}

    def loss(self, phase, networks, batch):
        output = networks["model"](batch["x"])
        wanted = (batch["x"][:, 0] > 0).float()  # so that batches differ in what they weigh
        return Loss((wanted * output[:, 0] ** 2).sum(), wanted.sum())


@pytest.fixture
def fresh_accelerate():
    """accelerate keeps one precision for a process."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_two_halves_accumulated_are_one_whole_batch(tmp_path, fresh_accelerate, precision):
    moments = []
    for size, accumulated in ((8, 1), (4, 2), (2, 4)):
        config = TrainerConfig(
            max_steps=1, batch_size=size, gradient_accumulation=accumulated, warmup_steps=0, clip_norm=0.0,
            save_every=1, precision=precision,
        )  # fmt: skip
        train(Step(), Examples(), None, config, tmp_path / f"{size}")
        moments.append(load_tensors(tmp_path / f"{size}/checkpoints/step-00000001/optimizer.model.safetensors"))
    for other in moments[1:]:
        for name in moments[0]:
            tolerance = {"rtol": 1e-5, "atol": 1e-7} if precision == "no" else {"rtol": 0.02, "atol": 1e-3}
            torch.testing.assert_close(moments[0][name], other[name], **tolerance)
    assert any(value.abs().max() > 1e-3 for name, value in moments[0].items() if name.endswith("exp_avg"))


def test_settings_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="sharding full works with training.precision no or bf16"):
        TrainerConfig(batch_size=1, sharding="full", precision="fp16")
    with pytest.raises(ValueError, match="training.sharding is 'half', expected one of none, full"):
        TrainerConfig(batch_size=1, sharding="half")
    step = Step()
    step.networks["critic"] = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="needs a model of one network, this has model, critic"):
        train(step, Examples(), None, TrainerConfig(batch_size=1, sharding="full"), tmp_path)
    step = Step()
    step.networks["model"].config = SimpleNamespace(layerdrop=0.05)  # as transformers has it
    with pytest.raises(ValueError, match="model.layer_drop 0.05, expected 0: layers cannot be left out"):
        train(step, Examples(), None, TrainerConfig(batch_size=1, sharding="full"), tmp_path)


@pytest.mark.integration
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_compiled_blocks_make_the_step_of_eager_ones():
    eager, compiled = (small(dropout=0.0, layers=1) for _ in range(2))
    names = list(compiled.state_dict())
    compile_network(compiled)
    for frames in (20, 33):  # other lengths are compiled once more, then for all
        for model in (eager, compiled):
            model.zero_grad()
            loss_of(model, batch(frames)).backward()
        for (name, expected), (_, got) in zip(eager.named_parameters(), compiled.named_parameters(), strict=True):
            torch.testing.assert_close(got.grad, expected.grad, rtol=1e-3, atol=1e-4, msg=lambda t, n=name: f"{n}: {t}")
    assert list(compiled.state_dict()) == names
