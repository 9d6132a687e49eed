"""Parallel text to semantic tokens: padding changes nothing, frames know their letters, hidden tokens stay hidden."""

import pytest
import torch

from soundstorm.models.masked_text_to_semantic import build_masked_text_to_semantic, letter_durations
from soundstorm.models.text_to_semantic_config import MaskedTextToSemanticConfig
from soundstorm.training.masked_text_to_semantic_step import MaskedTextLossConfig, MaskedTextToSemanticStep

TINY = MaskedTextToSemanticConfig(
    encoder_layers=1, encoder_dim=16, encoder_heads=2, encoder_ffn_dim=24, encoder_convolutions=1, head_dim=8,
    layers=1, width=12, heads=2, inner=24, kernel=3, duration_layers=1, dropout=0.0,
)  # fmt: skip


def make(seed=0):
    """A model whose every part matters: fresh ones begin with zeros in many places."""
    torch.manual_seed(seed)
    model = build_masked_text_to_semantic(TINY, text_vocab_size=20, num_tokens=9).eval()
    for name, parameter in model.named_parameters():
        if not name.endswith("norm.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def batch_of(lengths, text_lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = len(lengths)
    return {
        "text": torch.randint(3, 20, (rows, max(text_lengths)), generator=generator),
        "text_lengths": torch.tensor(text_lengths),
        "tokens": torch.randint(0, 9, (rows, max(lengths)), generator=generator),
        "lengths": torch.tensor(lengths),
        "prompt_end": torch.tensor([3] * rows),
        "dropped": torch.rand(rows, max(lengths), generator=generator) < 0.7,
    }


def cut(batch, row):
    """One example alone, without padding."""
    frames, letters = int(batch["lengths"][row]), int(batch["text_lengths"][row])
    widths = {"text": letters, "tokens": frames, "dropped": frames}
    one = {name: value[row : row + 1] for name, value in batch.items()}
    return {name: value[:, : widths[name]] if name in widths else value for name, value in one.items()}


def test_the_loss_of_a_batch_is_the_sum_of_those_of_its_examples():
    step, batch = MaskedTextToSemanticStep(make(), MaskedTextLossConfig()), batch_of([20, 13], [6, 9])
    with torch.no_grad():
        together = step.loss("model", step.networks, batch)
        alone = [step.loss("model", step.networks, cut(batch, row)) for row in range(2)]
    torch.testing.assert_close(together.total, sum(loss.total for loss in alone), rtol=1e-4, atol=1e-3)
    assert together.weight == sum(loss.weight for loss in alone) == 33
    for name, (value, count) in together.metrics.items():
        torch.testing.assert_close(torch.as_tensor(value).float(), sum(loss.metrics[name][0] for loss in alone).float(),
                                   rtol=1e-4, atol=1e-3)  # fmt: skip
        assert count == sum(loss.metrics[name][1] for loss in alone)


def test_what_a_hidden_token_is_changes_no_prediction():
    model, batch = make(), batch_of([20], [6])
    path = torch.arange(20)[None] // 4
    states, _ = model.read(batch["text"], batch["text_lengths"])
    frames = model.condition(states, path, batch["lengths"])
    hidden = torch.zeros(1, 20, 1, dtype=torch.bool)
    hidden[0, 8:, 0] = True
    other = batch["tokens"].clone()
    other[:, 8:] = 8 - other[:, 8:]
    with torch.no_grad():
        ours, theirs = (model.network.encode(frames, tokens[..., None], hidden) for tokens in (batch["tokens"], other))
        seen = model.network.encode(frames, (8 - batch["tokens"])[..., None], hidden)
    assert torch.equal(ours, theirs) and not torch.allclose(ours, seen)


def test_frames_are_told_their_letter_and_where_in_it_they_are():
    model = make()
    states = torch.randn(1, 3, 12)
    path, lengths = torch.tensor([[0, 0, 0, 1, 2, 2, 2, 2]]), torch.tensor([6])  # two frames of padding
    with torch.no_grad():
        frames = model.condition(states, path, lengths)
        durations, since = [3, 1, 2], [1, 2, 3, 1, 1, 2]
        for frame, (letter, place) in enumerate(zip(path[0, :6].tolist(), since, strict=True)):
            left = durations[letter] - place
            expected = model.norm(states[0, letter] + model.since.weight[place] + model.left.weight[left])
            torch.testing.assert_close(frames[0, frame], expected)
    assert letter_durations(path, lengths, 3).tolist() == [durations]


def test_durations_do_not_change_what_is_read():
    model, batch = make().train(), batch_of([20, 13], [6, 9])
    step = MaskedTextToSemanticStep(model, MaskedTextLossConfig())
    hidden = torch.zeros(2, 20, 1, dtype=torch.bool)
    names = ("text", "text_lengths", "tokens", "lengths")
    out = model(*(batch[name] for name in names), hidden, hidden, prior=0.1)
    out.duration_logits.sum().backward()
    touched = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None
               and parameter.grad.any()}  # fmt: skip
    assert touched == {"duration"}
    assert step.loss("model", step.networks, batch).total.requires_grad


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"width": 13}, "model.width is 13, expected model.heads"),
        ({"layers": 0}, "model.layers is 0, expected at least 1"),
        ({"duration_layers": -1}, "model.duration_layers is -1, expected at least 0"),
        ({"encoder_dim": 0}, "model.encoder_dim is 0, expected at least 1"),
        ({"freeze_encoder": True}, "model.freeze_encoder needs a published encoder"),
    ],
)
def test_wrong_sizes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MaskedTextToSemanticConfig(**changes)
