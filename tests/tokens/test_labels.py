"""Labels of a training set, of which some recordings cannot be read."""

import shutil

import pytest

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.tokens.features import open_features
from soundstorm.tokens.labels import stored_labels
from soundstorm.tokens.semantic import SemanticTokenizer, train_semantic_kmeans


@pytest.fixture(scope="module")
def tokenizer(data_dir):
    features = open_features("mfcc", None)
    return SemanticTokenizer(train_semantic_kmeans(features, Utterances(data_dir, 16000), 4), features)


@pytest.fixture
def damaged(data_dir, tmp_path):
    """Six utterances, of which one is no audio."""
    data = tmp_path / "data"
    shutil.copytree(data_dir, data)
    (tmp_path / "x.wav").write_text("no audio")
    write_table(data / "wav.scp", {**read_table(data / "wav.scp"), "s1-u3": str(tmp_path / "x.wav")})
    return Utterances(data, 16000)


def test_one_bad_recording_is_named_and_left_out_for_good(tokenizer, damaged, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("soundstorm.tokens.merge.LEAST_SHARE", 0.8)
    labels = stored_labels(tokenizer, damaged, tmp_path / "labels/train")
    assert labels.ids == [utt for utt in damaged.ids if utt != "s1-u3"]
    assert "s1-u3 is left out: " in caplog.text and "1 of 6 utterances have no tokens (s1-u3)" in caplog.text
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "labels").iterdir()}
    assert stored_labels(tokenizer, damaged, tmp_path / "labels/train").ids == labels.ids
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "labels").iterdir()}


def test_too_many_bad_recordings_are_refused(tokenizer, damaged, tmp_path):
    with pytest.raises(ValueError, match=r"1 of 6 utterances have no tokens .s1-u3.; at least 95%"):
        stored_labels(tokenizer, damaged, tmp_path / "labels/train")


def test_labels_of_replaced_audio_are_made_again_and_no_others(tokenizer, data_dir, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(data_dir, data)
    prefix, (first, *others) = tmp_path / "labels/train", Utterances(data, 16000).ids
    before = stored_labels(tokenizer, Utterances(data, 16000), prefix)
    wav = Utterances(data, 16000).read(first)
    write_audio(tmp_path / "new.wav", wav[: len(wav) // 2], 16000)
    write_table(data / "wav.scp", {**read_table(data / "wav.scp"), first: str(tmp_path / "new.wav")})
    places = read_table(f"{prefix}.scp")
    after = stored_labels(tokenizer, Utterances(data, 16000), prefix)
    assert len(after[first]) == len(before[first]) // 2
    now = read_table(f"{prefix}.scp")
    assert [utt for utt in now if now[utt] != places[utt]] == [first]
    assert all((after[utt] == before[utt]).all() for utt in others)
