"""The semantic tokenizer: its identity, that it refuses another model, that batches do not matter."""

import logging
import shutil

import numpy as np
import pytest
import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.feature_parts import FeatureParts
from soundstorm.tokens.features import open_features
from soundstorm.tokens.kmeans import KMeans
from soundstorm.tokens.semantic import SemanticTokenizer, extract_batches, train_semantic_kmeans
from tests.tokens.conftest import make_hubert


@pytest.fixture
def tokenizer(tmp_path, hubert_dir, data_dir):
    features = open_features(str(hubert_dir), 1)
    kmeans = train_semantic_kmeans(features, Utterances(data_dir, 16000), 4, normalization="global")
    kmeans.save(tmp_path / "k")
    return SemanticTokenizer.load(tmp_path / "k")


def test_the_directory_says_all_the_tokenizer_needs(tokenizer, hubert_dir):
    info = tokenizer.info
    assert (info.kind, info.num_levels, info.codebook_size) == ("semantic", 1, 4)
    assert (info.frame_rate, info.sample_rate) == (50.0, 16000)
    assert info.fingerprint == tokenizer.kmeans.fingerprint
    assert str(hubert_dir) in info.name and "layer 1" in info.name


def test_tokens_are_one_number_for_each_hop(tokenizer, data_dir):
    utterances = Utterances(data_dir, 16000)
    tokens = dict(tokenizer.encode_utterances(utterances))
    assert list(tokens) == list(utterances.ids)
    for utt, sequence in tokens.items():
        assert sequence.shape == (len(utterances.read(utt)) // 320,) and sequence.dtype == np.int64
        assert 0 <= sequence.min() and sequence.max() < 4


def test_tokens_are_the_same_alone_and_in_a_batch(tokenizer, data_dir):
    utterances = Utterances(data_dir, 16000)
    alone = dict(tokenizer.encode_utterances(utterances))
    batched = dict(tokenizer.encode_utterances(utterances, batch_seconds=3.0))
    for utt in utterances.ids:
        assert np.mean(alone[utt] == batched[utt]) > 0.97  # a frame between two centroids may change sides


@pytest.mark.parametrize("batch_seconds, sizes", [(None, [1] * 6), (0.0, [1] * 6), (2.0, [2, 2, 2]), (100.0, [6])])
def test_batches_hold_as_many_padded_seconds_as_asked_for(data_dir, batch_seconds, sizes):
    utterances = Utterances(data_dir, 16000)
    batches = list(extract_batches(open_features("mfcc"), utterances, batch_seconds=batch_seconds))
    assert [len(ids) for ids, _ in batches] == sizes
    assert [utt for ids, _ in batches for utt in ids] == list(utterances.ids)


def test_on_a_gpu_batches_are_large_unless_asked_otherwise(data_dir):
    utterances, features, parts = Utterances(data_dir, 16000), open_features("mfcc"), []
    features.device = "cuda:0"  # as it says
    for options in ({}, {"batch_seconds": 0.0}):
        parts.append([len(ids) for ids, _ in extract_batches(features, utterances, **options)])
    assert parts == [[6], [1] * 6]


def test_a_batch_beyond_the_memory_of_a_gpu_is_extracted_one_by_one(data_dir, monkeypatch):
    utterances, features = Utterances(data_dir, 16000), open_features("mfcc")
    (expected,) = extract_batches(features, utterances, batch_seconds=100.0)
    extract, most = features.extract, 1

    def small(wavs):
        if len(wavs) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return extract(wavs)

    monkeypatch.setattr(features, "extract", small)
    ((ids, found),) = extract_batches(features, utterances, batch_seconds=100.0)
    assert ids == expected[0] and all(map(np.array_equal, found, expected[1]))
    most = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(extract_batches(features, utterances, batch_seconds=100.0))


def test_a_k_means_of_another_model_is_refused(tmp_path, data_dir):
    make_hubert(tmp_path / "h")
    features = open_features(str(tmp_path / "h"), 1)
    train_semantic_kmeans(features, Utterances(data_dir, 16000), 4).save(tmp_path / "k")
    make_hubert(tmp_path / "h", seed=5)
    with pytest.raises(ValueError, match="the model there has changed; train the k-means again"):
        SemanticTokenizer.load(tmp_path / "k")


def test_a_model_that_has_gone_is_named(tmp_path, data_dir):
    make_hubert(tmp_path / "h")
    features = open_features(str(tmp_path / "h"), 1)
    train_semantic_kmeans(features, Utterances(data_dir, 16000), 4).save(tmp_path / "k")
    (tmp_path / "h").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="k names its features: .*h: no such directory"):
        SemanticTokenizer.load(tmp_path / "k")


def test_the_same_seed_gives_the_same_tokenizer_and_the_portion_is_kept(data_dir):
    utterances = Utterances(data_dir, 16000)
    made = [
        train_semantic_kmeans(open_features("mfcc"), utterances, 3, portion=0.5, seed=s) for s in (1, 1, 2)
    ]
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint
    assert made[0].info.portion == 0.5 and made[0].info.num_frames < sum(utterances.durations) * 50 * 0.7


def test_a_broken_utterance_is_named(data_dir, tokenizer):
    class Short(Utterances):
        def read(self, utt):
            return super().read(utt)[:100]

    with pytest.raises(ValueError, match="s0-u0: a recording of 100 samples"):
        dict(tokenizer.encode_utterances(Short(data_dir, 16000)))


@pytest.mark.parametrize("batch_seconds", [0.0, 100.0])
def test_what_cannot_be_read_or_is_too_short_is_named_and_left_out(
    data_dir, tokenizer, caplog, batch_seconds
):
    class Damaged(Utterances):
        def read(self, utt):
            if utt == "s0-u2":
                raise ValueError("u1.wav: the file is truncated")
            return super().read(utt)[: 100 if utt == "s1-u1" else None]

    utterances = Damaged(data_dir, 16000)
    with caplog.at_level(logging.WARNING):
        tokens = dict(tokenizer.encode_utterances(utterances, batch_seconds=batch_seconds, leave_out=True))
    assert list(tokens) == [utt for utt in utterances.ids if utt not in ("s0-u2", "s1-u1")]
    assert "s0-u2 is left out: u1.wav: the file is truncated" in caplog.text
    assert "s1-u1 is left out: a recording of 100 samples is shorter than one frame" in caplog.text


def test_k_means_of_too_few_utterances_is_refused(data_dir, tmp_path, caplog):
    shutil.copytree(data_dir, tmp_path / "data")
    lines = (tmp_path / "data/wav.scp").read_text().splitlines()
    for share, last in ((1, "s9-u0"), (30, "s9-u0")):
        more = [f"x{n}-{line}" for n in range(share) for line in lines]
        (tmp_path / "data/wav.scp").write_text("\n".join([*more, f"{last} {tmp_path}/none.wav", ""]))
        durations = "".join(f"{line.split()[0]} 1\n" for line in [*more, last])
        (tmp_path / "data/utt2dur").write_text(durations)
        utterances = Utterances(tmp_path / "data", 16000)
        if share == 1:
            with pytest.raises(ValueError, match="1 of 7 utterances have no tokens .s9-u0.; at least 95%"):
                train_semantic_kmeans(open_features("mfcc"), utterances, 2)
        else:
            train_semantic_kmeans(open_features("mfcc"), utterances, 2)
            assert "s9-u0 is left out: " in caplog.text


def test_mfcc_tokens_of_two_noises_tell_them_apart(data_dir):
    kmeans = train_semantic_kmeans(open_features("mfcc"), Utterances(data_dir, 16000), 2)
    assert isinstance(kmeans, KMeans)
    tokens = dict(
        SemanticTokenizer(kmeans, open_features("mfcc")).encode_utterances(Utterances(data_dir, 16000))
    )
    assert all(len(set(sequence.tolist())) == 2 for sequence in tokens.values())


class Interrupted:
    """Features that end after so many calls, as a machine that is switched off does."""

    def __init__(self, features, calls):
        self._features, self.left = features, calls

    def __getattr__(self, name):
        return getattr(self._features, name)

    def extract(self, wavs):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self._features.extract(wavs)


@pytest.mark.parametrize("batch_seconds, calls", [(0.0, 6), (2.0, 3)])
def test_an_interrupted_extraction_goes_on_and_ends_bit_for_bit_the_same(
    hubert_dir, data_dir, tmp_path, monkeypatch, batch_seconds, calls
):
    monkeypatch.setattr(FeatureParts, "seconds", 1.5)
    features, utterances = open_features(str(hubert_dir), 1), Utterances(data_dir, 16000)
    whole = train_semantic_kmeans(features, utterances, 4, batch_seconds=batch_seconds)
    parts = FeatureParts(tmp_path / "features")
    with pytest.raises(KeyboardInterrupt):
        train_semantic_kmeans(
            Interrupted(features, calls - 1), utterances, 4, batch_seconds=batch_seconds, parts=parts
        )
    kept = len(list((tmp_path / "features").iterdir()))
    assert kept >= 2
    again = Interrupted(features, calls)
    kmeans = train_semantic_kmeans(again, utterances, 4, batch_seconds=batch_seconds, parts=parts)
    assert kmeans.fingerprint == whole.fingerprint and kmeans.info == whole.info
    assert 0 < again.left < calls  # some came from the parts


def test_what_was_left_out_before_an_interrupt_is_tried_again(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "data")
    lines = (tmp_path / "data/wav.scp").read_text().splitlines()
    more = [f"x{n:02}-{line}" for n in range(5) for line in lines]
    recording = tmp_path / "last.wav"
    (tmp_path / "data/wav.scp").write_text("\n".join([*more, f"z-u0 {recording}", ""]))
    (tmp_path / "data/utt2dur").write_text("".join(f"{line.split()[0]} 1\n" for line in [*more, "z-u0 x"]))
    utterances, features = Utterances(tmp_path / "data", 16000), open_features("mfcc")
    parts = FeatureParts(tmp_path / "features")
    without = train_semantic_kmeans(features, utterances, 2, parts=parts)
    shutil.copy(lines[0].split()[1], recording)
    repaired = train_semantic_kmeans(features, utterances, 2, parts=parts)
    assert repaired.fingerprint == train_semantic_kmeans(features, utterances, 2).fingerprint
    assert repaired.info.num_frames > without.info.num_frames


def test_features_that_are_not_finite_are_named_and_left_out(data_dir, caplog, monkeypatch):
    features = open_features("mfcc")
    extract, calls = features.extract, []

    def broken(wavs):
        calls.append(wavs)
        return [array * np.nan for array in extract(wavs)] if len(calls) == 2 else extract(wavs)

    monkeypatch.setattr(features, "extract", broken)
    utterances = Utterances(data_dir, 16000)
    with pytest.raises(
        ValueError, match=f"1 of 6 utterances have no tokens .{utterances.ids[1]}.; at least 95%"
    ):
        train_semantic_kmeans(features, utterances, 2)
    assert f"{utterances.ids[1]} is left out: its features are NaN or infinite" in caplog.text
