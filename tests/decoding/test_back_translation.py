"""Back-translation: a model learns to write, writes for what has no text, and the next training reads the result."""

import json

import pytest
import torch

from soundstorm.bin import back_translate, train_semantic_to_text, train_text_to_semantic
from soundstorm.data.archive import TokenArchive
from soundstorm.data.data_dir import read_table
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import ByteTokenizer
from soundstorm.decoding.back_translation import Transcriber
from soundstorm.models.semantic_to_text import SemanticToText
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig, TranscriptionConfig
from soundstorm.training.semantic_to_text_training import SemanticToTextStep
from tests.text_to_semantic_toy import INFO, write_corpus
from tests.training.test_overfitting import learn
from tests.training.test_text_to_semantic_pretraining import SMALL

TINY = SemanticToTextConfig(layers=1, dim=32, heads=2, head_dim=16, ffn_dim=48, convolutions=1, dropout=0.0)
OPTIONS = (
    "--model.layers 1 --model.dim 32 --model.heads 2 --model.head-dim 16 --model.ffn-dim 48 --model.convolutions 1 "
    "--model.dropout 0 --training.batch-size 8 --training.learning-rate 5e-3 --training.warmup-steps 5 "
    "--training.ema-decay 0.9 --training.max-steps 240 --training.save-every 120 --training.valid-every 240"
).split()


def run(front, *arguments):
    front.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A training set, the part of it that is transcribed, and a validation set."""
    folder = tmp_path_factory.mktemp("toy")
    whole = write_corpus(folder / "whole", utterances=80)
    part, valid = folder / "part", write_corpus(folder / "valid", utterances=4, seed=1)
    part.mkdir()
    for name in ("text", "utt2spk", "semantic.scp"):
        (part / name).write_text("".join((whole / name).read_text().splitlines(keepends=True)[:60]))
    (part / "semantic.json").write_bytes((whole / "semantic.json").read_bytes())
    return whole, part, valid


@pytest.fixture(scope="module")
def writer(corpora, tmp_path_factory):
    expdir = tmp_path_factory.mktemp("writer") / "exp"
    run(train_semantic_to_text, "--train-data", corpora[1], "--valid-data", corpora[2], *OPTIONS, "--expdir", expdir)
    return expdir


def translate(corpora, writer, output, *options):
    sources = ("--data-dir", corpora[0], "--transcribed", corpora[1], "--semantic-to-text", writer)
    run(back_translate, *sources, "--device", "cpu", "--output", output, *options)
    return output


def test_texts_are_written_for_what_has_none_and_true_ones_are_kept(corpora, writer, tmp_path):
    out = translate(corpora, writer, tmp_path / "out", "--transcribe.temperature", 0)
    texts, truth, given = (read_table(folder / "text") for folder in (out, corpora[0], corpora[1]))
    assert list(texts) == sorted(truth) and {utt: texts[utt] for utt in given} == given
    right = [texts[utt] == truth[utt] for utt in truth if utt not in given]
    assert len(right) == 20 and sum(right) >= 16  # the toy language is learned by then
    record = json.loads((out / "back_translation.json").read_text())
    assert (record["transcribed"], record["back_translated"], record["left_out"]) == (60, 20, 0)
    made, source = TokenArchive(out / "semantic.scp"), TokenArchive(corpora[0] / "semantic.scp")
    assert made.info == source.info and all((made[utt] == source[utt]).all() for utt in made.ids)
    assert read_table(out / "utt2spk") == read_table(corpora[0] / "utt2spk")


def test_the_next_training_reads_what_came_out(corpora, writer, tmp_path):
    out = translate(corpora, writer, tmp_path / "out")
    sets = ("--train-data", out, "--valid-data", corpora[2], "--read-utterances", 0)
    run(train_text_to_semantic, *sets, *SMALL, "--training.max-steps", 2, "--expdir", tmp_path / "exp")
    assert (tmp_path / "exp/model.safetensors").exists()


def test_sampling_repeats_with_a_seed_and_a_second_run_does_nothing(corpora, writer, tmp_path):
    hot = ("--transcribe.temperature", 5)
    one, two = (translate(corpora, writer, tmp_path / name, *hot) for name in ("one", "two"))
    other = translate(corpora, writer, tmp_path / "three", *hot, "--transcribe.seed", 1)
    assert (one / "text").read_bytes() == (two / "text").read_bytes() != (other / "text").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in one.rglob("*")}
    translate(corpora, writer, one)
    assert before == {path: path.stat().st_mtime_ns for path in one.rglob("*")}


def test_nothing_to_write_and_foreign_tokens_are_refused(corpora, writer, tmp_path):
    with pytest.raises(ValueError, match="no text could be written for any utterance"):
        translate((corpora[1], corpora[1]), writer, tmp_path / "out")
    other = write_corpus(tmp_path / "other", utterances=4)
    (other / "semantic.json").write_text(json.dumps({**vars(INFO), "fingerprint": "ff" * 8}))
    with pytest.raises(ValueError, match="semantic tokens do not belong together"):
        translate((other, corpora[1]), writer, tmp_path / "out")
    assert not (tmp_path / "out/semantic.scp").exists()
    with pytest.raises(ValueError, match="transcribe.temperature is -1.0"):
        TranscriptionConfig(temperature=-1.0)


def test_what_is_read_as_nothing_is_empty():
    torch.manual_seed(0)
    model = SemanticToText(TINY, num_tokens=INFO.codebook_size, text_vocab_size=ByteTokenizer.vocab_size)
    torch.nn.init.zeros_(model.head.weight)
    model.head.bias.data = torch.nn.functional.one_hot(torch.tensor(0), ByteTokenizer.vocab_size) * 50.0
    tokens = torch.arange(9).numpy()
    assert Transcriber(model, INFO).transcribe(tokens, temperature=0.0) == ""
    assert Transcriber(model, INFO).transcribe(tokens, temperature=1.0) == ""


def test_a_batch_is_learned_by_heart_and_padding_changes_nothing(corpora):
    torch.manual_seed(0)
    model = SemanticToText(TINY, num_tokens=INFO.codebook_size, text_vocab_size=ByteTokenizer.vocab_size)
    dataset = TextSemanticDataset(corpora[1], ByteTokenizer())
    items = [dataset[SeededIndex(i, (0, 0, i))] for i in range(4)]
    step = SemanticToTextStep(model)
    model.eval()
    with torch.no_grad():
        whole = step.loss("model", step.networks, dataset.collate(items))
        single = [step.loss("model", step.networks, dataset.collate([item])) for item in items]
    assert float(whole.total) == pytest.approx(sum(float(loss.total) for loss in single), rel=1e-4)
    assert float(whole.weight) == sum(len(item["text"]) - 1 for item in items)
    figures = learn(step, dataset.collate(items), steps=120, rate=1e-2)
    assert figures[0]["ctc"] > 3 and figures[-1]["ctc"] < 0.1
