"""Names of the hub: configuration and weights of one commit, recorded, and loaded again from that one."""

import hashlib
import json
import shutil
from dataclasses import replace

import huggingface_hub.constants
import pytest
import torch
from transformers import (
    T5Config,
    T5EncoderModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
    WavLMConfig,
    WavLMForXVector,
    WhisperFeatureExtractor,
    WhisperProcessor,
    WhisperTokenizer,
)

from soundstorm.bin import train_consistency, train_kmeans
from soundstorm.data.datasets.dataset_configs import TextDataConfig
from soundstorm.data.experiment import recorded_setting
from soundstorm.models.consistency import load_consistency
from soundstorm.models.hub import model_directory, pinned, split_choice
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import PretrainedConfig, TextConfig, TextLossConfig
from soundstorm.scoring.recognizers import load_recognizer
from soundstorm.scoring.voice_preservation import XVector
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.tokens.features import open_features
from soundstorm.tokens.semantic import SemanticTokenizer
from soundstorm.training.text_to_semantic_training import train_text_to_semantic
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun
from tests.decoding.test_autoregressive import TINY
from tests.text_to_semantic_toy import write_corpus
from tests.tokens.conftest import data_dir, make_hubert, make_whisper  # noqa: F401
from tests.tokens.test_acoustic import PRETRAINED

MAIN, CONVERSION, NEWER = "a" * 40, "b" * 40, "c" * 40  # commits
LAYERS = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONVOLUTIONS = {"conv_dim": (8, 8), "conv_kernel": (40, 12), "conv_stride": (32, 10)}
SHAPE = {**LAYERS, **CONVOLUTIONS, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def add(cache, folder, commit, branch, *, name="org/model", left_out=()):
    """Put a model into the cache as a download does: blobs, a snapshot of links to them, and a branch."""
    root = cache / f"models--{name.replace('/', '--')}"
    for path in folder.iterdir():
        if path.name in left_out:
            continue
        blob = root / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        link = root / "snapshots" / commit / path.name
        for directory in (blob.parent, link.parent):
            directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
    (root / "refs" / branch).parent.mkdir(parents=True, exist_ok=True)
    (root / "refs" / branch).write_text(commit)


def add_converted(cache, folder):
    """A model whose main branch has pickled weights only, and its conversion."""
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    add(cache, folder, MAIN, "main", left_out=["model.safetensors"])
    (folder / "pytorch_model.bin").unlink()
    add(cache, folder, CONVERSION, "refs/pr/3")


def save(network, folder, *others):
    for part in (network, *others):
        part.save_pretrained(folder)


def make_codec(kind):
    def make(folder):
        model, config, _ = PRETRAINED[kind](folder)
        save(model(config), folder)

    return make


def make_w2v_bert(folder):
    save(Wav2Vec2BertModel(Wav2Vec2BertConfig(**LAYERS, feature_projection_input_dim=160)), folder)


def make_byt5(folder):
    config = T5Config(vocab_size=384, d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=2)
    save(T5EncoderModel(config), folder)


def make_ctc(folder):
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({"<pad>": 0, "|": 1, "<unk>": 2, "a": 3}))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    save(
        Wav2Vec2ForCTC(Wav2Vec2Config(**SHAPE, vocab_size=4)),
        folder,
        Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer),
    )


def make_whisper_recognizer(folder):
    make_whisper(folder, seed=torch.initial_seed())
    (folder / "vocab.json").write_text(json.dumps({"<|endoftext|>": 0, "a": 1, "b": 2}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    save(WhisperProcessor(WhisperFeatureExtractor(feature_size=20), tokenizer), folder)


def make_x_vector(folder):
    shape = {"tdnn_dim": (8, 8), "tdnn_kernel": (2, 1), "tdnn_dilation": (1, 1), "xvector_output_dim": 4}
    save(WavLMForXVector(WavLMConfig(**SHAPE, **shape)), folder, Wav2Vec2FeatureExtractor())


def load_features(source):
    features = open_features(source, 1)
    return getattr(features, "model", None) or features.encoder, features.source


def load_byt5(name):
    config = replace(TINY, encoder=name)
    return build_text_to_semantic(config, text_vocab_size=384, num_tokens=9).encoder.network, None


def load_transformers(name):
    return load_recognizer(name)._model, None


def load_codec(source):
    codec = load_acoustic_tokenizer(f"{source}@2")
    return codec.network, codec.info.name.removesuffix("@2")


# What is loaded by name: how it is made; what stands before its name; how its network and the name to record
# are loaded.
CLASSES = {
    "hubert": (lambda folder: make_hubert(folder, seed=torch.initial_seed()), "", load_features),
    "w2v-bert": (make_w2v_bert, "w2v-bert:", load_features),
    "whisper": (make_whisper_recognizer, "whisper:", load_features),
    "byt5": (make_byt5, "", load_byt5),
    **{kind: (make_codec(kind), f"{kind}:", load_codec) for kind in PRETRAINED},
    "ctc recogniser": (make_ctc, "", load_transformers),
    "whisper recogniser": (make_whisper_recognizer, "", load_transformers),
    "x-vector": (make_x_vector, "", lambda name: (XVector(name)._model, None)),
}


def make_two(make, tmp_path):
    """Two models of other weights."""
    for seed in (0, 1):
        torch.manual_seed(seed)
        make(tmp_path / str(seed))
    return tmp_path / "0", tmp_path / "1"


def digest(network):
    return [float(value.double().sum()) for value in network.state_dict().values()]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_name_is_one_commit_and_means_the_same_when_the_main_branch_has_moved(kind, cache, tmp_path):
    make, prefix, load = CLASSES[kind]
    first, second = make_two(make, tmp_path)
    wanted = [digest(load(f"{prefix}{folder}")[0]) for folder in (first, second)]
    assert wanted[0] != wanted[1]
    add_converted(cache, first)
    network, name = load(f"{prefix}org/model")
    assert digest(network) == wanted[0] and name in (None, f"{prefix}org/model@{CONVERSION}")
    add(cache, second, NEWER, "main")
    assert digest(load(f"{prefix}org/model")[0]) == wanted[1]
    assert digest(load(f"{prefix}org/model@{CONVERSION}")[0]) == wanted[0]
    for other in ("org/other", f"org/model@{'d' * 40}"):
        with pytest.raises(FileNotFoundError, match=f"hf download {other.partition('@')[0]} --revision "):
            load(prefix + other)


def test_what_lies_in_two_commits_is_refused_with_what_to_download(cache, tmp_path):
    """So earlier versions left it: the configuration of one, and nothing but the weights of the other."""
    add_converted(cache, make_hubert(tmp_path / "hubert"))
    (cache / f"models--org--model/snapshots/{CONVERSION}/config.json").unlink()
    message = f"{CONVERSION} lacks config.json or model.safetensors.* --revision refs/pr/"
    with pytest.raises(FileNotFoundError, match=message):
        model_directory("org/model")


def test_a_directory_and_a_commit_are_pinned_already_and_a_started_experiment_keeps_what_it_has(tmp_path):
    commit = f"org/model@{MAIN}"
    assert pinned(str(tmp_path)) == str(tmp_path) and pinned(commit) == commit
    assert pinned("org/model", recorded=commit) == commit
    assert pinned("org/model", recorded="org/model") == "org/model"  # of an earlier version
    assert split_choice(commit) == (commit, "") and split_choice(f"{commit}@8") == (commit, "8")
    assert split_choice("org/model") == ("org/model", "")
    assert split_choice("org/model@6kbps") == ("org/model", "6kbps")


def test_a_kmeans_records_the_commit_and_older_ones_load_on(cache, tmp_path, data_dir):  # noqa: F811
    first, second = make_two(CLASSES["hubert"][0], tmp_path)
    add_converted(cache, first)
    options = ["--data-dir", str(data_dir), "--features", "org/model", "--layer", "1", "--clusters", "3"]
    train_kmeans.main([*options, "--output", str(tmp_path / "km")])
    description = tmp_path / "km/kmeans.json"
    assert json.loads(description.read_text())["features"] == f"org/model@{CONVERSION}"
    add(cache, second, NEWER, "main")
    assert SemanticTokenizer.load(tmp_path / "km").info.name == f"org/model@{CONVERSION} layer 1, 3 clusters"
    description.write_text(description.read_text().replace(f"@{CONVERSION}", ""))
    with pytest.raises(ValueError, match="the model there has changed"):
        SemanticTokenizer.load(tmp_path / "km")
    add(cache, first, CONVERSION[::-1].replace("b", "e"), "main")
    assert SemanticTokenizer.load(tmp_path / "km").info.name == "org/model layer 1, 3 clusters"


def test_trainings_record_the_commit_and_go_on_with_it(cache, tmp_path, data_dir):  # noqa: F811
    first, second = make_two(CLASSES["hubert"][0], tmp_path)
    add_converted(cache, first)
    expdir = tmp_path / "consistency"
    options = ["--train-data", str(data_dir), "--valid-data", str(data_dir), "--ssl-model", "org/model"]
    options += ["--expdir", str(expdir), "--model.layer", "1", "--model.width", "16", "--model.heads", "2"]
    options += ["--crops.min-seconds", "0.2", "--crops.max-seconds", "0.3"]
    options += ["--training.batch-size", "2", "--training.valid-every", "1"]
    for steps in ("1", "2"):  # the second time with another main branch
        train_consistency.main([*options, "--training.max-steps", steps])
        assert recorded_setting(expdir, "data", "ssl_model") == f"org/model@{CONVERSION}"
        (expdir / "model.safetensors").rename(tmp_path / f"weights{steps}")
        add(cache, second, NEWER, "main")
    (tmp_path / "weights2").rename(expdir / "model.safetensors")
    load_consistency(expdir)


def test_a_published_text_encoder_is_recorded_with_its_commit(cache, tmp_path):
    first, second = make_two(make_byt5, tmp_path)
    add_converted(cache, first)
    corpus, expdir = write_corpus(tmp_path / "train", utterances=8), tmp_path / "exp"
    for steps in (1, 2):
        config = {
            "model": replace(TINY, encoder="org/model", freeze_encoder=True), "text": TextConfig(),
            "data": TextDataConfig(), "loss": TextLossConfig(), "pretrained": PretrainedConfig(),
            "training": TrainerConfig(max_steps=steps, batch_size=4, valid_every=1),
        }  # fmt: skip
        train_text_to_semantic(TrainingRun(corpus, corpus, expdir, config, ["train"]))
        assert recorded_setting(expdir, "model", "encoder") == f"org/model@{CONVERSION}"
        (expdir / "model.safetensors").unlink()
        add(cache, second, NEWER, "main")
