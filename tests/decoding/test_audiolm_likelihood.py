"""Likelihoods of AudioLM's first stage: against one token after the other, batches, and a front over a pair file."""

import shutil

import numpy as np
import pytest
import torch

from soundstorm.bin import measure_pairs, train_kmeans
from soundstorm.data.archive import TokenArchive
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.decoding import audiolm_likelihood
from soundstorm.decoding.audiolm_generator import LanguageModel
from soundstorm.decoding.audiolm_likelihood import log_likelihoods
from soundstorm.models.audiolm import Columns
from soundstorm.scoring.extras import extra_sections, read_extra
from tests.decoding.test_audiolm import make
from tests.decoding.test_chain import chain  # noqa: F401


def utterances():
    rng = np.random.default_rng(0)
    return [np.repeat(rng.integers(0, 9, length), rng.integers(1, 4, length)) for length in (7, 1, 12, 30, 4)]


def slow_likelihood(stage, tokens):
    """The chain rule, each prefix read anew."""
    kept = [int(token) for place, token in enumerate(tokens) if place == 0 or token != tokens[place - 1]]
    total, nothing = 0.0, np.zeros(0, np.int64)
    for place, token in enumerate(kept):
        row = collate_rows([stage.layout.row(nothing, nothing, np.array(kept[:place], np.int64)[:, None])])
        columns = Columns(*(row[name] for name in ("ids", "times", "due", "condition")))
        logits = stage.model.level_logits(stage.model.encode(columns)[0, -1], 0).double()
        total += float(logits.log_softmax(-1)[token])
    return total, len(kept)


@pytest.mark.parametrize("positions", ["sequence", "time"])
def test_it_is_the_product_of_the_probabilities_of_the_tokens_without_repeats(positions):
    stage = make("semantic", 4.0, positions)
    with torch.inference_mode():
        slow = [slow_likelihood(stage, tokens) for tokens in utterances()]
    for found, (total, length) in zip(log_likelihoods(stage, utterances()), slow, strict=True):
        assert found.num_tokens == length
        assert found.total == pytest.approx(total, rel=1e-5)
        assert found.per_token == pytest.approx(total / length, rel=1e-5)


def test_an_utterance_scores_the_same_alone_and_in_a_batch(monkeypatch):
    stage = make("semantic", 4.0)
    together = log_likelihoods(stage, utterances())
    monkeypatch.setattr(audiolm_likelihood, "BATCH_COLUMNS", 1)  # one row at a time
    for one, other in zip(together, log_likelihoods(stage, utterances()), strict=True):
        assert one.total == pytest.approx(other.total, rel=1e-5)


def test_other_stages_and_empty_utterances_are_refused():
    with pytest.raises(ValueError, match="need AudioLM's semantic stage, got its coarse one"):
        log_likelihoods(make("coarse", 4.0), utterances())
    with pytest.raises(ValueError, match="utterance 2 has no semantic tokens"):
        log_likelihoods(make("semantic", 4.0), [np.ones(3, np.int64), np.zeros(0, np.int64)])


def front(chain, gold, *options):  # noqa: F811
    arguments = ["--pairs", gold, "--semantic", chain / "audiolm/semantic", "--device", "cpu", *options]
    measure_pairs.main([str(argument) for argument in arguments])


@pytest.fixture
def gold(chain, tmp_path):  # noqa: F811
    """A table beside four recordings."""
    rows = [("1", "a-1", 1), ("1", "a-2", 0), ("2", "b-1", 1), ("2", "b-2", 0)]
    for _, name, _ in rows:
        shutil.copy(chain / f"wav/{name}.wav", tmp_path)
    lines = [f"{pair},{name},{name[0]},order,{right}" for pair, name, right in rows]
    (tmp_path / "gold.csv").write_text("\n".join(["id,filename,voice,type,correct", *lines]) + "\n")
    return tmp_path / "gold.csv"


def test_a_pair_file_is_scored_from_its_recordings(chain, gold, tmp_path, capsys):  # noqa: F811
    front(chain, gold, "--kmeans", chain / "kmeans", "--output", tmp_path / "pairs.json")
    found = read_extra(tmp_path / "pairs.json")
    stored = TokenArchive(chain / "data/semantic.scp")
    model = LanguageModel.load(chain / "audiolm/semantic", "semantic", "cpu")
    right, wrong = (log_likelihoods(model, [stored[utt] for utt in utts]) for utts in (("a-1", "b-1"), ("a-2", "b-2")))
    likelier = [one.total > other.total for one, other in zip(right, wrong, strict=True)]
    assert list(found["total"]) == ["all", "order"] and found["total"]["all"]["count"] == 2
    assert found["total"]["all"]["value"] == pytest.approx(50 * sum(likelier))
    (section,) = extra_sections([found])
    assert f"| `{gold}` | order | " in section and "hardware: " in section
    assert section in capsys.readouterr().out


def test_what_cannot_be_scored_is_refused(chain, gold, tmp_path):  # noqa: F811
    other = ["--data-dir", chain / "data", "--features", "mfcc", "--clusters", 4, "--output", tmp_path / "kmeans"]
    train_kmeans.main([str(argument) for argument in other])
    with pytest.raises(ValueError, match="semantic tokens do not belong together"):
        front(chain, gold, "--kmeans", tmp_path / "kmeans")
    (tmp_path / "a-1.wav").unlink()
    with pytest.raises(FileNotFoundError, match="a-1.wav: no such recording"):
        front(chain, gold, "--kmeans", chain / "kmeans")
