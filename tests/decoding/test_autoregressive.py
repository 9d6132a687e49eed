"""Sampling of semantic tokens from text: what is drawn, caching, batches, prompts, ends; and that it learns to read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from soundstorm.data.datasets.dataset_configs import TextDataConfig
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import ByteTokenizer
from soundstorm.decoding import autoregressive
from soundstorm.decoding.autoregressive import SpeakingRate, TextToSemanticGenerator, choose, load_text_to_semantic
from soundstorm.decoding.decoding_config import TextSamplingConfig
from soundstorm.decoding.free_running import edit_distance, report_free_running
from soundstorm.models.pointer import durations_so_far
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import (
    PretrainedConfig,
    TextConfig,
    TextLossConfig,
    TextToSemanticConfig,
)
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from soundstorm.training.text_to_semantic_training import train_text_to_semantic
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun
from tests.text_to_semantic_toy import INFO, random_text, speak, spell, write_corpus

TINY = TextToSemanticConfig(
    encoder_layers=1, encoder_dim=16, encoder_heads=2, encoder_ffn_dim=24, encoder_convolutions=1, decoder_layers=2,
    decoder_dim=16, decoder_heads=2, head_dim=8, decoder_ffn_dim=24, dropout=0.0,
)  # fmt: skip
TEXTS = ["abc def", "ha", "cab ab bag hed"]
PACE = SpeakingRate(slowest=6.0, fastest=3.0)


def make(pointer: bool, *, seed: int = 0) -> TextToSemanticGenerator:
    torch.manual_seed(seed)
    config = replace(TINY, pointer=pointer)
    model = build_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size)
    return TextToSemanticGenerator(model, ByteTokenizer(), INFO, PACE)


@pytest.fixture(params=[False, True], ids=["attention", "pointer"])
def reader(request):
    return make(request.param)


def read(reader, texts=TEXTS, *, seeds=None, prompts=None, new_texts=None, **options):
    """Semantic tokens, sampled with the default options but for those given."""
    seeds = range(len(texts)) if seeds is None else seeds
    config = TextSamplingConfig(**options)
    return reader.semantic_tokens(texts, config, seeds=seeds, prompts=prompts, new_texts=new_texts)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# -- choosing one class ------------------------------------------------------------------------------------------------


def test_classes_are_drawn_as_often_as_likely():
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0])
    drawn = choose(logits.expand(100_000, -1), torch.rand(100_000, generator=seeded()), temperature=0.7, top_k=0)
    shares = torch.bincount(drawn, minlength=4) / 100_000
    assert torch.allclose(shares, (logits / 0.7).softmax(-1), atol=0.01)


def test_only_the_top_classes_are_drawn():
    logits = torch.randn(1, 20, generator=seeded())
    drawn = choose(logits.expand(5000, -1), torch.rand(5000, generator=seeded(1)), temperature=1.5, top_k=3)
    assert set(drawn.tolist()) == set(logits[0].topk(3).indices.tolist())


def test_temperature_zero_takes_the_likeliest():
    logits = torch.randn(50, 9, generator=seeded())
    assert torch.equal(choose(logits, torch.rand(50), temperature=0, top_k=5), logits.argmax(-1))


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
def test_a_forbidden_class_is_never_drawn(uniform):
    logits = torch.tensor([[float("-inf"), 0.0, 0.0, float("-inf")]])
    assert choose(logits, torch.tensor([uniform]), temperature=1.0, top_k=0).item() in (1, 2)


# -- sampling ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def slow_greedy(reader: TextToSemanticGenerator, text: str, least: int, most: int) -> list[int]:
    """Greedy reading that recomputes everything for every frame, without caches, batches or helpers."""
    model = reader.model
    ids = torch.from_numpy(reader.tokenizer.encode(text))[None]
    lengths = torch.tensor([ids.shape[1]])
    tokens, places, staying = [], [], 1.0
    while len(tokens) < most:
        given = torch.tensor([[model.start_id, *tokens]])
        state, extra = model.begin(ids, lengths, caching=False), {}
        if model.pointer is not None:
            path = torch.tensor([[0, *places]])
            none = torch.zeros(1, 1, dtype=torch.int64)
            spent = torch.cat([none, durations_so_far(path[:, 1:])], 1) if places else path
            extra = {"places": path, "durations": spent}
        hidden = model.advance(given, state, **extra)
        may_end, now = len(tokens) >= least, None
        if model.pointer is not None:
            place = places[-1] if places else 0
            if places:
                if place < ids.shape[1] - 1:
                    staying *= 1 - float(model.pointer.advance_logits(hidden)[0, -1].sigmoid())
                    if staying < 0.5:
                        place, staying = place + 1, 1.0
            places.append(place)
            now = torch.tensor([[place]])
        logits = model.emit(hidden[:, -1:], state, places=now)[0, 0]
        if model.pointer is not None and place == ids.shape[1] - 1:
            staying *= 1 - float(logits.softmax(-1)[model.end_id])
            may_end = may_end and staying < 0.5
        elif model.pointer is not None:
            may_end = False
        if not may_end:
            logits[model.end_id] = float("-inf")
        elif model.pointer is not None:
            break
        token = int(logits.argmax())
        if token == model.end_id:
            break
        tokens.append(token)
    return tokens


def test_greedy_reading_equals_its_slow_twin(reader):
    got = read(reader, temperature=0)
    for text, tokens in zip(TEXTS, got):
        assert tokens.tolist() == slow_greedy(reader, text, *PACE.limits(len(text) + 1))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_equals_its_texts_alone(reader, temperature):
    together = read(reader, temperature=temperature, top_k=5, seeds=[3, 1, 4])
    for text, seed, tokens in zip(TEXTS, [3, 1, 4], together):
        (alone,) = read(reader, [text], temperature=temperature, top_k=5, seeds=[seed])
        assert np.array_equal(alone, tokens)


def test_prompted_texts_in_a_batch_equal_those_alone(reader):
    prompts = [np.array([0, 0, 0, 1]), np.zeros(0, np.int64), np.arange(9)]
    together = read(reader, top_k=5, seeds=[3, 1, 4], prompts=prompts)
    for text, seed, prompt, tokens in zip(TEXTS, [3, 1, 4], prompts, together):
        (alone,) = read(reader, [text], top_k=5, seeds=[seed], prompts=[prompt])
        assert np.array_equal(alone, tokens)


def test_one_seed_gives_one_result(reader):
    first, again, other = (read(reader, seeds=seeds) for seeds in ([5, 6, 7], [5, 6, 7], [8, 9, 10]))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other))


def test_results_are_tokens_and_never_empty(reader):
    for seed in range(5):
        for text, tokens in zip(TEXTS, read(reader, temperature=2.0, top_k=0, seeds=3 * [seed])):
            least, most = PACE.limits(len(text) + 1)
            assert tokens.dtype == np.int64 and least <= len(tokens) <= most
            assert 0 <= tokens.min() and tokens.max() < INFO.codebook_size


def test_a_reader_that_wants_to_end_at_once_reads_on(reader):
    with torch.no_grad():
        reader.model.head.weight[reader.model.end_id] = 0
        reader.model.head.weight[: reader.model.end_id] *= 1e-3
    assert all(len(tokens) >= PACE.limits(len(t) + 1)[0] for t, tokens in zip(TEXTS, read(reader)))


def never_ends(reader):
    with torch.no_grad():
        reader.model.norm.weight.zero_()  # all classes equally likely; the likeliest is then token 0
        if reader.model.pointer is not None:
            reader.model.pointer.norm.weight.zero_()
            reader.model.pointer.move.bias.fill_(-50)  # stays at the first letter
    return reader


def test_a_reader_that_never_ends_is_cut_and_says_so(reader, caplog):
    tokens = read(never_ends(reader), temperature=0, max_seconds=0.5)
    assert [len(t) for t in tokens] == [min(PACE.limits(len(t) + 1)[1], 25) for t in TEXTS]
    assert "3 of 3 texts did not end by themselves and were cut, the first after 0.5 s: 'abc def'" in caplog.text


@pytest.mark.parametrize("frames", [1, 40, 700])
def test_a_prompt_with_pauses_takes_no_time_from_what_is_new(reader, frames):
    arguments = {"temperature": 0, "prompts": [np.zeros(frames, np.int64)], "max_seconds": 1000}
    for new, most in ("abc def", 3 * 50), ("abc def cab bag", PACE.limits(len("abc def cab bag") + 1)[1]):
        (tokens,) = read(never_ends(reader), [20 * "ha " + new], new_texts=[new], **arguments)
        assert len(tokens) == most  # nor gives it time to what does not end
    # Where nobody knows which words are the prompt's, the text has time at least for the pace of slow speech.
    (tokens,) = read(reader, ["ha abc def"], **arguments)
    whole = PACE.limits(len("ha abc def") + 1)[1]
    assert len(tokens) == max(whole - frames, whole // 2)
    (tokens,) = read(reader, ["ha abc def"], **{**arguments, "max_seconds": 0.1})
    assert len(tokens) == 5


def test_a_long_prompt_does_not_let_the_new_words_be_swallowed(reader):
    with torch.no_grad():
        reader.model.head.weight[reader.model.end_id] = 0
        reader.model.head.weight[: reader.model.end_id] *= 1e-3
    (tokens,) = read(reader, ["ha abc def"], new_texts=["abc def"], prompts=[np.zeros(500, np.int64)])
    assert len(tokens) >= PACE.limits(len("abc def") + 1)[0]


def test_the_pointer_learns_which_words_the_prompt_has_said(monkeypatch):
    reader, told = make(True), []
    place = autoregressive.prompt_places
    monkeypatch.setattr(autoregressive, "prompt_places", lambda *given: told.append(given[-1]) or place(*given))
    arguments = {"prompts": [np.zeros(8, np.int64), np.zeros(0, np.int64)], "max_seconds": 1.0}
    read(reader, ["ha | abc def", "cab"], new_texts=["abc def", "cab"], **arguments)
    read(reader, ["ha | abc def", "cab"], **arguments)
    assert told[0] == [len("ha | "), 0] and told[-1] is None


def test_no_texts_give_no_results(reader):
    assert read(reader, []) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"texts": "abc"}, "expected a list of texts, got one text 'abc'"),
        ({"texts": ["abc", " "]}, "text 2: nothing to pronounce in ' '"),
        ({"temperature": -1}, "text.temperature is -1, expected at least 0"),
        ({"max_seconds": 0.01}, "max_seconds is 0.01, less than one frame"),
        ({"seeds": [1, 2]}, "2 seeds for 1 texts"),
        ({"prompts": []}, "0 prompts for 1 texts"),
        ({"prompts": [np.array([9])]}, r"prompt 1 has tokens outside \[0, 8\] of toy"),
    ],
)
def test_wrong_requests_are_explained(reader, arguments, message):
    with pytest.raises(ValueError, match=message):
        read(reader, **{"texts": ["abc"], **arguments})


# -- learning to read --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pointer model after seconds of training on the toy language."""
    corpus = write_corpus(tmp_path_factory.mktemp("toy") / "train", utterances=120)
    dataset = TextSemanticDataset(corpus, ByteTokenizer(), token_dropout=0.3, token_noise=0.1, noise_span=3)
    torch.manual_seed(0)
    config = replace(
        TINY, pointer=True, encoder_dim=32, encoder_ffn_dim=48, decoder_layers=1, decoder_dim=32, decoder_ffn_dim=48
    )
    model = build_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size)
    step = TextToSemanticStep(model, TextLossConfig(alignment_weight=0.5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.98))
    rng = np.random.default_rng(0)
    for number in range(150):
        chosen = rng.choice(120, 12, replace=False)
        batch = dataset.collate([dataset[SeededIndex(int(i), (number, int(i)))] for i in chosen])
        loss = step.loss("model", step.networks, batch)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return TextToSemanticGenerator(model, ByteTokenizer(), INFO, SpeakingRate(*dataset.speaking_rates()))


def unseen_texts(count, words=3):
    rng = np.random.default_rng(99)
    return [random_text(rng, words=words) for _ in range(count)]


def wrong_letters(texts, spoken):
    # A prompt may end within a space, which then comes first.
    errors = sum(edit_distance(np.array([*spell(t).strip()]), np.array([*text])) for text, t in zip(texts, spoken))
    return errors / sum(map(len, texts))


@pytest.mark.parametrize("temperature, top_k", [(0.0, 0), (0.5, 3)])
def test_a_trained_reader_spells_unseen_texts(trained, temperature, top_k):
    texts = unseen_texts(20)
    spoken = read(trained, texts, temperature=temperature, top_k=top_k)
    assert wrong_letters(texts, spoken) < 0.05
    frames_per_letter = sum(map(len, spoken)) / sum(map(len, texts))
    assert 4.0 < frames_per_letter < 7.0


def test_a_trained_reader_goes_on_where_a_prompt_ends(trained):
    rng = np.random.default_rng(7)
    firsts, seconds = unseen_texts(12, words=1), unseen_texts(12, words=2)
    prompts = [speak(f"{first} ", rng) for first in firsts]
    spoken = read(trained, [f"{a} {b}" for a, b in zip(firsts, seconds)], temperature=0, prompts=prompts)
    assert wrong_letters(seconds, spoken) < 0.1


# -- an experiment, from training to speaking --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bytes", "sentencepiece"])
def test_an_experiment_speaks(tmp_path, kind):
    corpus = write_corpus(tmp_path / "train", utterances=16)
    config = {
        "model": replace(TINY, pointer=True), "text": TextConfig(tokenizer=kind, sentencepiece_vocab_size=16),
        "data": TextDataConfig(), "loss": TextLossConfig(alignment_weight=0.5), "pretrained": PretrainedConfig(),
        "training": TrainerConfig(max_steps=2, batch_size=4, valid_every=2, ema_decay=0.0),
    }  # fmt: skip
    train_text_to_semantic(TrainingRun(corpus, corpus, tmp_path / "exp", config, ["train"]))
    reader = load_text_to_semantic(tmp_path / "exp")
    assert reader.info == INFO and not reader.model.training
    first, again = (read(load_text_to_semantic(tmp_path / "exp"), seeds=[1, 2, 3]) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    report = report_free_running(tmp_path / "exp", corpus, num_utterances=4)
    assert report["utterances"] == 4 and len(report["results"]) == 2
    assert report_free_running(tmp_path / "exp", tmp_path / "gone") == report


def test_a_report_of_no_texts_is_written_too_since_its_presence_means_done(tmp_path):
    report = report_free_running(tmp_path, tmp_path / "data", num_utterances=0)
    assert report["results"] == [] and (tmp_path / "free_running.json").is_file()


def test_a_published_encoder_is_not_needed_twice(tmp_path):
    """Trained once, an experiment with a ByT5 speaks after the ByT5's directory is gone."""
    from transformers import T5Config, T5EncoderModel

    corpus, byt5 = write_corpus(tmp_path / "train", utterances=8), tmp_path / "byt5"
    T5EncoderModel(T5Config(vocab_size=384, d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=2)).save_pretrained(
        byt5
    )
    config = {
        "model": replace(TINY, encoder=str(byt5), freeze_encoder=True), "text": TextConfig(),
        "data": TextDataConfig(), "loss": TextLossConfig(), "pretrained": PretrainedConfig(),
        "training": TrainerConfig(max_steps=2, batch_size=4, valid_every=2),
    }  # fmt: skip
    train_text_to_semantic(TrainingRun(corpus, corpus, tmp_path / "exp", config, ["train"]))
    published = T5EncoderModel.from_pretrained(byt5).state_dict()
    byt5.rename(tmp_path / "elsewhere")
    reader = load_text_to_semantic(tmp_path / "exp")
    kept = reader.model.encoder.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in published.items())
    assert len(read(reader, ["abc"], seeds=[0])[0]) > 0


def test_another_experiment_is_no_reader(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {layers: 3}\ntext: {}\n")
    with pytest.raises(ValueError, match="no section 'semantic', it has model, text; is it an experiment of another"):
        load_text_to_semantic(tmp_path)


# -- measuring ---------------------------------------------------------------------------------------------------------


def slow_edit_distance(a, b):
    table = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(change, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


def test_edit_distance_equals_its_slow_twin():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = (rng.integers(0, 4, rng.integers(0, 12)) for _ in range(2))
        assert edit_distance(a, b) == slow_edit_distance(a.tolist(), b.tolist())
