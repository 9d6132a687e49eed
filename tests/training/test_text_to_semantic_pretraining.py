"""Pre-training by denoising, and what fine-tuning takes over from it and leaves as it is."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from soundstorm.bin import pretrain_text_to_semantic as front
from soundstorm.bin import train_text_to_semantic as training_front
from soundstorm.data.experiment import read_config
from soundstorm.decoding.autoregressive import load_text_to_semantic
from soundstorm.decoding.decoding_config import TextSamplingConfig
from soundstorm.models.text_to_semantic_config import PretrainedConfig
from soundstorm.training.text_to_semantic_training import train_text_to_semantic
from tests.text_to_semantic_toy import write_corpus
from tests.training.test_text_to_semantic_step import training_of

SMALL = (
    "--model.pointer true --model.encoder-layers 2 --model.encoder-dim 12 --model.encoder-heads 2 "
    "--model.encoder-ffn-dim 16 --model.decoder-layers 1 --model.decoder-dim 16 --model.decoder-heads 2 "
    "--model.head-dim 8 --model.decoder-ffn-dim 24 --model.encoder-convolutions 1 --model.dropout 0 "
    "--loss.alignment-weight 0.5 --training.batch-size 4 --training.warmup-steps 1"
).split()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return write_corpus(folder / "train", utterances=12), write_corpus(folder / "dev", utterances=4, seed=1)


def run(which, corpus, expdir, *options):
    sets = ["--train-data", str(corpus[0]), "--valid-data", str(corpus[1]), "--expdir", str(expdir)]
    which.main([*sets, *SMALL, *map(str, options)])
    return expdir


@pytest.fixture(scope="module")
def pretrained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    # It needs no text.
    bare = []
    for data in corpus:
        bare.append(folder / data.name)
        bare[-1].mkdir()
        for name in ("semantic.scp", "semantic.json"):
            (bare[-1] / name).write_bytes((data / name).read_bytes())
    return run(front, bare, folder / "exp", "--training.max-steps", 4)


def fine_tune(corpus, pretrained, expdir, *options):
    start = ("--pretrained.experiment", pretrained, "--read-utterances", 0, "--training.max-steps", 3)
    return run(training_front, corpus, expdir, *start, *options)


def test_a_finished_pre_training_is_left_alone(corpus, pretrained):
    before = {path: path.stat().st_mtime_ns for path in pretrained.rglob("*")}
    run(front, corpus, pretrained, "--training.max-steps", 4)
    assert before == {path: path.stat().st_mtime_ns for path in pretrained.rglob("*")}
    assert {"model", "denoising", "loss", "training", "semantic"} == set(read_config(pretrained))


def changed(pretrained, expdir):
    """Names of the tensors that both have, and of those that training has moved."""
    old, new = load_file(pretrained / "model.safetensors"), load_file(expdir / "model.safetensors")
    shared = {name for name in old if name in new and old[name].shape == new[name].shape}
    return shared, {name for name in shared if not torch.equal(old[name], new[name])}


def test_frozen_fine_tuning_moves_what_spear_tts_moves(corpus, pretrained, tmp_path):
    freeze = ("--pretrained.freeze", "true", "--pretrained.lower-blocks", 1, "--training.ema-decay", 0)
    exp = fine_tune(corpus, pretrained, tmp_path / "exp", *freeze, "--training.weight-decay", 0)
    shared, moved = changed(pretrained, exp)
    stays = shared - moved
    assert {name for name in stays if name.startswith("encoder.")} == {
        name for name in shared if name.startswith(("encoder.blocks.1.", "encoder.norm."))
    }
    decoder = {name for name in shared if name.startswith(("blocks.", "embed.", "norm.", "head."))}
    looking = {name for name in decoder if ".cross_" in name}
    assert decoder - looking <= stays and looking <= moved
    assert {name for name in shared if name.startswith(("bridge.", "position_scale", "encoder.blocks.0."))} <= moved
    assert read_config(exp)["pretrained"]["experiment"] == str(pretrained)


def test_the_text_starts_anew_and_all_else_from_the_pre_training(corpus, pretrained, tmp_path):
    """A learning rate of nearly nothing shows where training began."""
    still = ("--training.learning-rate", 1e-12, "--training.ema-decay", 0, "--training.weight-decay", 0)
    exp = fine_tune(corpus, pretrained, tmp_path / "exp", *still)
    old, new = load_file(pretrained / "model.safetensors"), load_file(exp / "model.safetensors")
    assert set(old) == set(new)
    different = {name for name in old if old[name].shape != new[name].shape or not torch.allclose(old[name], new[name])}
    assert {name.rpartition(".")[0] for name in different} <= {
        name.rpartition(".")[0] for name in old if name.startswith(("encoder.embed", "pointer.aligner"))
    }
    assert new["encoder.embed.weight"].shape[0] == 384 and different
    assert not new["pointer.aligner.emit.weight"].abs().max() > 1e-6  # all letters alike at first


def test_what_was_fine_tuned_speaks_without_its_pre_training(corpus, pretrained, tmp_path):
    exp = fine_tune(corpus, pretrained, tmp_path / "exp")
    moved = pretrained.with_name("moved")
    pretrained.rename(moved)
    try:
        (tokens,) = load_text_to_semantic(exp).semantic_tokens(["ab ba"], TextSamplingConfig(max_seconds=1), seeds=[0])
    finally:
        moved.rename(pretrained)
    assert len(tokens) > 0


def test_an_interrupted_fine_tuning_goes_on_as_if_nothing_had_been(corpus, pretrained, tmp_path):
    options = ("--pretrained.freeze", "true", "--pretrained.lower-blocks", 1, "--training.save-every", 2)
    straight = fine_tune(corpus, pretrained, tmp_path / "straight", *options)
    again = fine_tune(corpus, pretrained, tmp_path / "again", *options)
    (again / "model.safetensors").unlink()
    for checkpoint in (again / "checkpoints").glob("step-00000003"):
        for path in checkpoint.iterdir():
            path.unlink()
        checkpoint.rmdir()
    assert [path.name for path in (again / "checkpoints").iterdir()] == ["step-00000002"]
    fine_tune(corpus, pretrained, again, *options)
    assert (straight / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--model.decoder-dim", 24], "model.decoder_dim is 24, but .* was pre-trained with 16; give both the same"),
        (["--pretrained.freeze", "true", "--pretrained.lower-blocks", 3], "lower_blocks is 3, but the encoder has 2"),
    ],
)
def test_what_does_not_fit_is_refused(corpus, pretrained, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fine_tune(corpus, pretrained, tmp_path / "exp", *options)
    assert not (tmp_path / "exp/config.yaml").exists()


def test_an_experiment_of_another_kind_is_refused(corpus, tmp_path):
    train_text_to_semantic(training_of(corpus, tmp_path / "text"))
    with pytest.raises(ValueError, match="no section 'denoising'"):
        fine_tune(corpus, tmp_path / "text", tmp_path / "exp")
    with pytest.raises(ValueError, match="model.encoder is 'google/byt5-large', which reads text already"):
        run(front, corpus, tmp_path / "pre", "--model.encoder", "google/byt5-large")
    with pytest.raises(ValueError, match="pretrained.freeze is true, but pretrained.experiment names no"):
        replace(PretrainedConfig(), freeze=True)
