"""Likelihoods of AudioLM's first stage: against one token after the other, batches, and a front over a pair file."""

import json

import numpy as np
import pytest
import torch

from soundstorm.bin import measure_pairs
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.decoding import audiolm_likelihood
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


def write_gold(folder):
    rows = [("1", "a-1", 1), ("1", "a-2", 0), ("2", "b-1", 1), ("2", "b-2", 0)]
    lines = [f"{pair},{name},{name[0]},order,{right}" for pair, name, right in rows]
    (folder / "gold.csv").write_text("\n".join(["id,filename,voice,type,correct", *lines]) + "\n")
    return folder / "gold.csv"


def test_a_pair_file_is_scored_from_recordings_and_from_their_tokens_alike(chain, tmp_path, capsys):  # noqa: F811
    gold, wav = write_gold(tmp_path), chain / "wav"
    front(chain, gold, "--folder", wav, "--kmeans", chain / "kmeans", "--output", tmp_path / "one.json")
    front(chain, gold, "--folder", wav, "--tokens", chain / "data/semantic.scp", "--output", tmp_path / "two.json")
    one, two = (read_extra(tmp_path / f"{name}.json") for name in ("one", "two"))
    assert one["per_token"] == two["per_token"] and one["total"] == two["total"]
    assert list(one["total"]) == ["all", "order"] and one["total"]["all"]["count"] == 2
    (section,) = extra_sections([one])
    assert f"| `{gold}` | order | " in section and "hardware: " in section
    assert section in capsys.readouterr().out


def test_what_cannot_be_scored_is_refused(chain, tmp_path):  # noqa: F811
    gold = write_gold(tmp_path)
    with pytest.raises(ValueError, match="give one of --kmeans"):
        front(chain, gold)
    with pytest.raises(FileNotFoundError, match="a-1.wav: no such recording"):
        front(chain, gold, "--kmeans", chain / "kmeans")
    with pytest.raises(ValueError, match="no tokens of nobody"):
        gold.write_text(gold.read_text().replace("b-1", "nobody"))
        front(chain, gold, "--tokens", chain / "data/semantic.scp")
    info = json.loads((chain / "data/semantic.json").read_text())
    (tmp_path / "semantic.scp").write_bytes((chain / "data/semantic.scp").read_bytes())
    (tmp_path / "semantic.json").write_text(json.dumps({**info, "fingerprint": "0" * 64}))
    with pytest.raises(ValueError, match="semantic tokens do not belong together"):
        front(chain, write_gold(tmp_path), "--folder", chain / "wav", "--tokens", tmp_path / "semantic.scp")
