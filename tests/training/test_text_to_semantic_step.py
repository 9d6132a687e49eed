"""Loss and training of the text-to-semantic model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from soundstorm.data.datasets.dataset_configs import TextDataConfig
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.alignment import emission_loss
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
from tests.text_to_semantic_toy import INFO, write_corpus

TINY = TextToSemanticConfig(
    encoder_layers=1, encoder_dim=12, encoder_heads=2, encoder_ffn_dim=16, decoder_layers=2, decoder_dim=16,
    decoder_heads=2, head_dim=8, decoder_ffn_dim=24, dropout=0.0,
)  # fmt: skip
ALIGNED = TextLossConfig(alignment_weight=0.5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return write_corpus(folder / "train", utterances=24), write_corpus(folder / "dev", utterances=6, seed=1)


@pytest.fixture(scope="module")
def batch(corpus):
    dataset = TextSemanticDataset(corpus[0], ByteTokenizer(), token_dropout=0.5)
    return dataset.collate([dataset[SeededIndex(i, (0, 0, i))] for i in range(5)])


def make(config, loss):
    torch.manual_seed(0)
    model = build_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size).eval()
    return TextToSemanticStep(model, loss)


def slow_cross_entropy(logits, batch, end_id):
    """Sum over every token and the end, one at a time."""
    total, count = 0.0, 0
    for row, length in enumerate(batch["lengths"].tolist()):
        targets = [*batch["tokens"][row, :length].tolist(), end_id]
        for t, target in enumerate(targets):
            total -= float(logits[row, t].log_softmax(-1)[target])
            count += 1
    return total, count


def test_the_loss_equals_its_slow_twin(batch):
    step = make(TINY, TextLossConfig())
    with torch.no_grad():
        loss = step.loss("model", step.networks, batch)
        out = step.networks["model"](*(batch[n] for n in ("text", "text_lengths", "inputs", "tokens", "lengths")))
    total, count = slow_cross_entropy(out.logits, batch, INFO.codebook_size)
    assert float(loss.total) == pytest.approx(total, rel=1e-5)
    assert int(loss.weight) == count


def test_a_pointer_adds_its_path_and_its_decisions(batch):
    config = replace(ALIGNED, move_weight=0.25)
    step = make(replace(TINY, pointer=True), config)
    with torch.no_grad():
        loss = step.loss("model", step.networks, batch)
        out = step.networks["model"](
            *(batch[n] for n in ("text", "text_lengths", "inputs", "tokens", "lengths")), prior=config.alignment_prior
        )
        total, _ = slow_cross_entropy(out.logits, batch, INFO.codebook_size)
        aligned = emission_loss(
            out.scores, batch["lengths"] + 1, batch["text_lengths"], prior=config.alignment_prior
        ).sum()
        decided = 0.0
        for row, length in enumerate(batch["lengths"].tolist()):
            for t in range(length + 1):
                moved = t > 0 and out.path[row, t] != out.path[row, t - 1]
                decided += float(F.softplus(-out.moves[row, t] if moved else out.moves[row, t]))
    assert float(loss.total) == pytest.approx(float(total + 0.5 * aligned) + 0.25 * decided, rel=1e-5)
    assert {"cross_entropy", "accuracy", "alignment", "move"} == set(loss.metrics)


@pytest.mark.parametrize("config, loss", [(TINY, TextLossConfig()), (replace(TINY, pointer=True), ALIGNED)])
def test_the_loss_of_a_batch_is_the_sum_of_its_items(corpus, config, loss):
    dataset = TextSemanticDataset(corpus[0], ByteTokenizer())
    items = [dataset[SeededIndex(i, (0, 0, i))] for i in range(4)]
    step = make(config, loss)
    with torch.no_grad():
        whole = step.loss("model", step.networks, dataset.collate(items))
        single = [step.loss("model", step.networks, dataset.collate([item])) for item in items]
    assert float(whole.total) == pytest.approx(sum(float(loss.total) for loss in single), rel=1e-4)
    assert float(whole.weight) == sum(float(loss.weight) for loss in single)


def test_aligning_nothing_is_refused():
    with pytest.raises(ValueError, match="loss.alignment_weight is 0.5, but there is nothing to align"):
        make(TINY, ALIGNED)


def test_a_pointer_without_an_alignment_loss_is_refused():
    with pytest.raises(ValueError, match="a model with a pointer learns its path from it"):
        make(replace(TINY, pointer=True), TextLossConfig())


def training_of(corpus, expdir, **sections):
    config = {
        "model": replace(TINY, pointer=True), "text": TextConfig(),
        "data": TextDataConfig(token_dropout=0.3, join_probability=0.2), "loss": ALIGNED,
        "pretrained": PretrainedConfig(),
        "training": TrainerConfig(max_steps=4, batch_size=4, warmup_steps=1, log_every=2, valid_every=4),
    }  # fmt: skip
    return TrainingRun(*corpus, expdir, {**config, **sections}, ["train_text_to_semantic"])


def test_an_experiment_says_everything_decoding_needs(corpus, tmp_path):
    train_text_to_semantic(training_of(corpus, tmp_path / "exp"))
    config = yaml.safe_load((tmp_path / "exp/config.yaml").read_text())
    assert {"model", "text", "data", "loss", "training", "semantic", "pace"} == set(config)
    assert config["semantic"]["fingerprint"] == INFO.fingerprint
    lines = [json.loads(line) for line in (tmp_path / "exp/metrics.jsonl").read_text().splitlines()]
    assert {line["set"] for line in lines} == {"train", "valid"}
    assert all(np.isfinite(line["accuracy"]) for line in lines)


def test_a_finished_experiment_is_left_alone(corpus, tmp_path, caplog):
    train_text_to_semantic(training_of(corpus, tmp_path / "exp"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "exp").rglob("*")}
    train_text_to_semantic(training_of(corpus, tmp_path / "exp"))
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "exp").rglob("*")}


def test_a_training_that_goes_on_forgets_what_was_found_out_about_its_shorter_one(corpus, tmp_path):
    train_text_to_semantic(training_of(corpus, tmp_path))
    (tmp_path / "free_running.json").touch()
    train_text_to_semantic(training_of(corpus, tmp_path))
    assert (tmp_path / "free_running.json").exists()
    (tmp_path / "model.safetensors").unlink()
    longer = replace(training_of(corpus, tmp_path).config["training"], max_steps=6)
    train_text_to_semantic(training_of(corpus, tmp_path, training=longer))
    assert not (tmp_path / "free_running.json").exists() and (tmp_path / "model.safetensors").exists()


def test_two_runs_with_one_seed_are_equal(corpus, tmp_path):
    for name in ("one", "two"):
        train_text_to_semantic(training_of(corpus, tmp_path / name))
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert first == second


def test_tokens_of_two_tokenizers_are_refused(corpus, tmp_path):
    other = write_corpus(tmp_path / "other", utterances=4)
    info = json.loads((other / "semantic.json").read_text())
    (other / "semantic.json").write_text(json.dumps({**info, "fingerprint": "ff" * 8}))
    with pytest.raises(ValueError, match="semantic tokens do not belong together"):
        train_text_to_semantic(training_of((corpus[0], other), tmp_path / "exp"))


def test_pieces_are_learned_into_the_experiment(corpus, tmp_path):
    text = TextConfig(tokenizer="sentencepiece", sentencepiece_vocab_size=16)
    train_text_to_semantic(training_of(corpus, tmp_path / "exp", text=text))
    assert (tmp_path / "exp/text.model").is_file()
    again = replace(text, sentencepiece_model=str(tmp_path / "exp/text.model"))
    train_text_to_semantic(training_of(corpus, tmp_path / "copied", text=again))
    assert (tmp_path / "copied/text.model").read_bytes() == (tmp_path / "exp/text.model").read_bytes()
