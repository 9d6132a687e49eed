"""ABX of features and tokens by name, over the noises of two speakers."""

import shutil

import numpy as np
import pytest

from soundstorm.bin import measure_abx, train_kmeans
from soundstorm.data.archive import TokenizerInfo, write_tokens
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.scoring.abx_config import AbxConfig
from soundstorm.scoring.abx_sources import abx_of_sources
from soundstorm.scoring.extras import read_extra
from soundstorm.scoring.token_quality import frame_phones, read_phones


@pytest.fixture(scope="module")
def acoustic(data_dir, tmp_path_factory):
    """Two levels: the first is the phone, the second says nothing."""
    phones = read_phones(data_dir / "phones.ctm")
    info = TokenizerInfo("acoustic", "perfect codec", "f", 50.0, 2, 4, 16000)
    rng = np.random.default_rng(0)
    prefix = tmp_path_factory.mktemp("dump") / "acoustic"
    codes = {
        utt: np.stack([[p == "s" for p in frame_phones(spans, 40, 50.0)], rng.integers(4, size=40)], 1)
        for utt, spans in phones.items()
    }
    write_tokens(prefix, codes.items(), info)
    return f"{prefix}.scp"


def test_everything_is_measured_on_the_same_comparisons(data_dir, acoustic, hubert_dir, tmp_path, capsys, monkeypatch):
    train_kmeans.main(
        ["--data-dir", str(data_dir), "--features", "mfcc", "--clusters", "2", "--normalization", "utterance"]
        + ["--output", str(tmp_path / "kmeans")]
    )
    output = tmp_path / "abx.json"
    monkeypatch.setattr("soundstorm.scoring.extras.run_facts", lambda command, device: {"device": device})
    measure_abx.main(
        ["--data-dir", str(data_dir), "--features", "mfcc", "--features", f"{hubert_dir}@1"]
        + ["--device", "cpu:0"]
        + ["--kmeans", str(tmp_path / "kmeans"), "--acoustic", acoustic, "--output", str(output)]
    )
    assert read_extra(output)["facts"] == {"device": "cpu:0"}
    results = read_extra(output)["results"]
    assert list(results) == [
        "mfcc",
        f"{hubert_dir}@1",
        "mfcc, 2 clusters, its features",
        "mfcc, 2 clusters, tokens",
        "mfcc, 2 clusters, centroids",
        "perfect codec, tokens of level 1",
        "perfect codec, tokens of all levels",
    ]
    triples = {(r["within"]["num_triples"], r["across"]["num_triples"]) for r in results.values()}
    assert len(triples) == 1 and len({r["context"] for r in results.values()}) == 1
    first = results["perfect codec, tokens of level 1"]
    assert first["within"]["error"] == first["across"]["error"] == 0.0
    assert results["mfcc"]["within"]["error"] < 10.0  # high and low noise are easily told apart
    assert results[f"{hubert_dir}@1"]["within"]["error"] > 10.0  # not by random weights
    shown = capsys.readouterr().out
    assert "| perfect codec, tokens of level 1 | share of levels that differ (one-hot) | 0.0 | 0.0 |" in shown
    assert "phones alone, whatever is beside them" in shown


def test_a_codec_s_codebooks_make_vectors(data_dir, acoustic, monkeypatch):
    import torch

    from soundstorm.tokens import acoustic as codecs

    books = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0]] * 4])
    monkeypatch.setattr(codecs, "load_codebooks", lambda spec, *tables: {acoustic: books}[tables[0]])
    results = abx_of_sources(data_dir, AbxConfig(), acoustic=[acoustic], codec="x")
    assert results["perfect codec, sum of codebook vectors"].across.error == 0.0


def test_a_bad_recording_is_named_and_left_out_of_everything(data_dir, tmp_path, monkeypatch, caplog):
    data = tmp_path / "data"
    shutil.copytree(data_dir, data)
    (tmp_path / "x.wav").write_text("no audio")
    whole, paths = abx_of_sources(data, AbxConfig(), features=["mfcc"]), read_table(data / "wav.scp")
    write_table(data / "wav.scp", {**paths, "s1-u3": str(tmp_path / "x.wav")})
    with pytest.raises(ValueError, match=r"1 of 6 utterances have no features .s1-u3.; at least 95%"):
        abx_of_sources(data, AbxConfig(), features=["mfcc"])
    monkeypatch.setattr("soundstorm.tokens.merge.LEAST_SHARE", 0.8)
    results = abx_of_sources(data, AbxConfig(), features=["mfcc"])
    assert "s1-u3 is left out: " in caplog.text
    assert results["mfcc"].across.num_triples < whole["mfcc"].across.num_triples
    for name in ("wav.scp", "utt2spk", "utt2dur", "phones.ctm"):  # as of a set without it
        lines = (data / name).read_text().splitlines(keepends=True)
        (data / name).write_text("".join(line for line in lines if not line.startswith("s1-u3 ")))
    assert abx_of_sources(data, AbxConfig(), features=["mfcc"]) == results


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to measure"),
        (["--features", "mfcc@3"], "layer 3 of 'mfcc'"),
        (["--features", "x@y"], "expected a layer's number after the @, got 'y'"),
    ],
)
def test_wrong_requests_are_refused(data_dir, arguments, message):
    with pytest.raises(ValueError, match=message):
        measure_abx.main(["--data-dir", str(data_dir), *arguments])


def test_a_data_directory_without_phone_times_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="ABX needs phone times"):
        abx_of_sources(tmp_path, AbxConfig(), features=["mfcc"])
