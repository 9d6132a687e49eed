"""The encoder-decoder as a whole: shapes, causality, padding, caching, published encoders, the paper's size."""

import shutil
from dataclasses import replace

import pytest
import torch

from soundstorm.data.datasets.dataset_configs import TextDataConfig
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import TextConfig, TextLossConfig, TextToSemanticConfig

TINY = TextToSemanticConfig(
    encoder_layers=1, encoder_dim=12, encoder_heads=2, encoder_ffn_dim=16, encoder_convolutions=1, decoder_layers=2,
    decoder_dim=16, decoder_heads=2, head_dim=8, decoder_ffn_dim=24, dropout=0.1,
)  # fmt: skip
KINDS = {"attention": TINY, "pointer": replace(TINY, pointer=True)}


@pytest.fixture(params=sorted(KINDS))
def model(request):
    torch.manual_seed(0)
    return build_text_to_semantic(KINDS[request.param], text_vocab_size=20, num_tokens=9).eval()


def random_batch(batch=2, frames=11, letters=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(3, 20, (batch, letters), generator=generator)
    tokens = torch.randint(0, 9, (batch, frames), generator=generator)
    return text, torch.full((batch,), letters), tokens, torch.full((batch,), frames)


def run(model, text, text_lengths, tokens, lengths):
    with torch.no_grad():
        return model(text, text_lengths, tokens, tokens, lengths, prior=0.3)


def test_it_predicts_every_token_and_the_end(model):
    out = run(model, *random_batch())
    assert out.logits.shape == (2, 12, 10)
    assert (out.path is None) == (out.moves is None) == (out.scores is None) == (model.pointer is None)
    assert model.pointer is None or out.scores.shape == (2, 12, 6)


def test_no_prediction_depends_on_the_token_it_predicts_or_later_ones(model):
    text, text_lengths, tokens, lengths = random_batch()
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 9
    with torch.no_grad():  # the aligner may look ahead, so both see the true tokens there
        first, second = (model(text, text_lengths, x, tokens, lengths, prior=0.3).logits for x in (tokens, changed))
    assert torch.allclose(first[:, :8], second[:, :8], atol=1e-6)
    assert not torch.allclose(first[:, 8:], second[:, 8:], atol=1e-3)


def test_padding_of_text_and_tokens_changes_nothing(model):
    text, text_lengths, tokens, lengths = random_batch()
    text_lengths, lengths = torch.tensor([6, 4]), torch.tensor([11, 8])
    together = run(model, text, text_lengths, tokens, lengths)
    alone = run(model, text[1:, :4], text_lengths[1:], tokens[1:, :8], lengths[1:])
    assert torch.allclose(together.logits[1, :9], alone.logits[0], atol=1e-5)
    if model.pointer is not None:
        assert torch.allclose(together.scores[1, :9, :4], alone.scores[0], atol=1e-5)
        assert torch.equal(together.path[1, :9], alone.path[0])
        assert torch.allclose(together.moves[1, :9], alone.moves[0], atol=1e-5)


def test_hidden_tokens_are_not_seen(model):
    text, text_lengths, tokens, lengths = random_batch()
    hidden = torch.where(torch.arange(11) % 3 == 0, -1, tokens)
    other = torch.where(torch.arange(11) % 3 == 0, (tokens + 1) % 9, tokens)
    with torch.no_grad():
        from_hidden = model(text, text_lengths, hidden, tokens, lengths).logits
        again = model(text, text_lengths, torch.where(hidden < 0, -1, other), tokens, lengths).logits
    assert torch.equal(from_hidden, again)


@pytest.mark.parametrize("cuts", [[1] * 12, [5, 1, 1, 5]])
def test_decoding_with_a_cache_equals_teacher_forcing(model, cuts):
    text, text_lengths, tokens, lengths = random_batch()
    whole = run(model, text, text_lengths, tokens, lengths)
    given = torch.cat([torch.full((2, 1), model.start_id), tokens], dim=1)
    extra = {}
    if model.pointer is not None:
        from soundstorm.models.pointer import durations_so_far

        before = torch.cat([torch.zeros(2, 1, dtype=torch.int64), whole.path[:, :-1]], dim=1)
        spent = torch.cat([torch.zeros(2, 1, dtype=torch.int64), durations_so_far(whole.path)[:, :-1]], dim=1)
        extra = {"places": before.split(cuts, 1), "durations": spent.split(cuts, 1)}
    logits = []
    with torch.no_grad():
        state = model.begin(text, text_lengths)
        for index, part in enumerate(given.split(cuts, 1)):
            hidden = model.advance(part, state, **{name: values[index] for name, values in extra.items()})
            places = None if model.pointer is None else whole.path.split(cuts, 1)[index]
            logits.append(model.emit(hidden, state, places=places))
    assert torch.allclose(torch.cat(logits, 1), whole.logits, atol=1e-5)


def test_texts_of_one_length_need_no_mask(model):
    text, _, tokens, _ = random_batch()
    lengths, extra = torch.tensor([text.shape[1]] * 2), {}
    if model.pointer is not None:
        extra = dict.fromkeys(("places", "durations"), torch.zeros_like(tokens))
    with torch.no_grad():
        with_mask, without = (model.begin(text, lengths, padded=padded) for padded in (True, False))
        assert without.exists is None
        assert torch.equal(model.advance(tokens, with_mask, **extra), model.advance(tokens, without, **extra))
        without.keep(torch.tensor([1]))
        assert len(without.memory) == 1


def test_every_parameter_learns(model):
    text, text_lengths, tokens, lengths = random_batch()
    if model.pointer is not None:  # its aligner starts flat: at first only the last layer has a gradient
        torch.nn.init.normal_(model.pointer.aligner.emit.weight)
    out = model(text, text_lengths, tokens, tokens, lengths, prior=0.3)
    loss = out.logits.square().sum()
    if model.pointer is not None:
        loss = loss + out.scores.clamp(min=-1e4).square().sum() + out.moves.square().sum()
    loss.backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []


def test_the_paper_has_1_2_billion_parameters():
    """ByT5-large's encoder (36 layers) and a decoder of 12, counted without allocating them."""
    from transformers import T5Config, T5EncoderModel

    paper = TextToSemanticConfig(
        encoder="google/byt5-large", freeze_encoder=True, decoder_layers=12, decoder_dim=1536,
        decoder_heads=16, head_dim=64, decoder_ffn_dim=3840,
    )  # fmt: skip
    with torch.device("meta"):
        shape = T5Config(
            vocab_size=384, d_model=1536, d_kv=64, d_ff=3840, num_layers=36, num_heads=16,
            feed_forward_proj="gated-gelu",
        )  # fmt: skip
        encoder = T5EncoderModel(shape)
        scratch = replace(
            paper, encoder="scratch", freeze_encoder=False, encoder_layers=36, encoder_dim=1536, encoder_heads=16,
            encoder_ffn_dim=3840,
        )  # fmt: skip
        model = build_text_to_semantic(scratch, text_vocab_size=384, num_tokens=4096)
    decoder = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("encoder."))
    assert decoder + sum(p.numel() for p in encoder.parameters()) == pytest.approx(1.2e9, rel=0.05)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(1.2e9, rel=0.05)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A directory as a published ByT5 has it, tiny and random."""
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("byt5")
    T5EncoderModel(
        T5Config(vocab_size=384, d_model=20, d_kv=4, d_ff=24, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu")
    ).save_pretrained(folder)
    return str(folder)


def test_a_published_encoder_is_loaded_by_directory(published):
    from transformers import T5EncoderModel

    model = build_text_to_semantic(replace(TINY, encoder=published), text_vocab_size=384, num_tokens=9).eval()
    text, exists = torch.randint(3, 200, (1, 7)), torch.ones(1, 7, dtype=torch.bool)
    with torch.no_grad():
        wanted = T5EncoderModel.from_pretrained(published).eval()(input_ids=text).last_hidden_state
        assert torch.allclose(model.encoder(text, exists), wanted, atol=1e-6)
        assert run(model, text, torch.tensor([7]), *random_batch(batch=1)[2:]).logits.shape == (1, 12, 10)


def test_a_published_encoder_with_pickled_weights_is_not_read(published, tmp_path):
    pickled = shutil.copytree(published, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot load the text encoder .*model.safetensors"):
        build_text_to_semantic(replace(TINY, encoder=str(pickled)), text_vocab_size=384, num_tokens=9)


def test_padding_changes_nothing_with_a_published_encoder(published):
    model = build_text_to_semantic(replace(TINY, encoder=published), text_vocab_size=384, num_tokens=9).eval()
    text, _, tokens, _ = random_batch()
    together = run(model, text, torch.tensor([6, 4]), tokens, torch.tensor([11, 8]))
    alone = run(model, text[1:, :4], torch.tensor([4]), tokens[1:, :8], torch.tensor([8]))
    assert torch.allclose(together.logits[1, :9], alone.logits[0], atol=1e-5)


def test_a_frozen_encoder_stays_as_it_is(published):
    config = replace(TINY, encoder=published, freeze_encoder=True)
    model = build_text_to_semantic(config, text_vocab_size=384, num_tokens=9).train()
    assert not model.encoder.network.training and model.blocks[0].training
    text, text_lengths, tokens, lengths = random_batch()
    model(text, text_lengths, tokens, tokens, lengths).logits.sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in model.encoder.parameters())
    assert model.bridge.weight.grad is not None


@pytest.mark.parametrize("known, used", [(384, 500), (384, 300), (512, 384)])
def test_an_encoder_that_does_not_know_the_text_ids_is_refused(published, tmp_path, known, used):
    from transformers import T5EncoderModel

    network = T5EncoderModel.from_pretrained(published)
    network.resize_token_embeddings(known)
    network.save_pretrained(tmp_path)
    config = replace(TINY, encoder=str(tmp_path))
    with pytest.raises(ValueError, match=f"the text has {used} ids, not the {known} of .*; use text.tokenizer bytes"):
        build_text_to_semantic(config, text_vocab_size=used, num_tokens=9)
    if used <= known:  # an experiment of before has learned to read them
        build_text_to_semantic(config, text_vocab_size=used, num_tokens=9, encoder_dir=tmp_path)


def test_a_name_that_is_no_encoder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="cannot load the text encoder .*expected a T5 or ByT5"):
        build_text_to_semantic(replace(TINY, encoder=str(tmp_path)), text_vocab_size=384, num_tokens=9)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: TextToSemanticConfig(decoder_layers=0), "model.decoder_layers is 0, expected at least 1"),
        (lambda: TextToSemanticConfig(head_dim=7), "model.head_dim is 7, expected an even number"),
        (lambda: TextToSemanticConfig(dropout=1.0), "model.dropout is 1.0"),
        (lambda: TextToSemanticConfig(encoder_convolutions=-1), "model.encoder_convolutions is -1"),
        (lambda: TextToSemanticConfig(freeze_encoder=True), "model.freeze_encoder needs a published encoder"),
        (lambda: TextConfig(tokenizer="phones"), "text.tokenizer is 'phones', expected one of bytes, sentencepiece"),
        (lambda: TextDataConfig(token_dropout=1.5), "data.token_dropout is 1.5"),
        (lambda: TextDataConfig(noise_span=0.5), "data.noise_span is 0.5, expected at least 1"),
        (lambda: TextDataConfig(min_seconds=9, max_seconds=3), r"data.min_seconds \(9\) must be below"),
        (lambda: TextLossConfig(label_smoothing=1), "loss.label_smoothing is 1"),
        (lambda: TextLossConfig(move_weight=-1), "loss.move_weight is -1, expected at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
