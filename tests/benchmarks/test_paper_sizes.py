"""The estimate's counts against what a small model really keeps and does."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paper_sizes  # noqa: E402

from soundstorm.models.soundstorm import SoundStorm  # noqa: E402
from soundstorm.models.soundstorm_config import SoundStormConfig  # noqa: E402
from soundstorm.training.layout import recompute_activations  # noqa: E402


def small(layers=2):
    config = SoundStormConfig(layers=layers, width=32, heads=2, inner=64, dropout=0.1)
    return SoundStorm(config, num_levels=3, codebook_size=16, semantic_size=10)


def loss(model, examples):
    return paper_sizes.soundstorm_loss(model, examples, frames=64)


def test_meta_tensors_keep_and_do_what_real_ones_do():
    with torch.device("meta"):
        meta = small()
    real = small()
    counted, done = (paper_sizes.step_operations(model, loss, 2) for model in (meta, real))
    assert 0 < done <= counted < 1.25 * done  # the counter does not know the backward pass of a CPU's attention
    assert paper_sizes.kept_bytes(meta, loss, 2) == pytest.approx(paper_sizes.kept_bytes(real, loss, 2), rel=0.1)


def test_what_is_kept_grows_with_examples_and_blocks_and_shrinks_where_it_is_computed_again():
    with torch.device("meta"):
        models = [small(layers) for layers in (2, 4)]
    one, two, deep = (paper_sizes.kept_bytes(models[m], loss, n) for m, n in ((0, 1), (0, 2), (1, 1)))
    assert 1.9 * one < two < 2.1 * one and 1.5 * one < deep < 2.1 * one
    recompute_activations(models[1])
    assert paper_sizes.kept_bytes(models[1], loss, 1) < 0.5 * deep


@pytest.mark.integration
def test_the_papers_size_is_counted_and_said_to_be_estimated():
    found = paper_sizes.estimate(paper_sizes.MODELS["soundstorm"], gpus=8, tflops=312, utilisation=0.4)
    assert found["estimated"] and round(found["parameters"] / 1e6, 1) == 353.9 and found["steps"] == 232_500
    assert found["state_bytes"] == 20 * found["parameters"] == 8 * found["state_bytes_shared_by_all_gpus"]
    assert "Estimates, not measurements" in paper_sizes.table({"soundstorm": found}, 8)


@pytest.mark.integration
@pytest.mark.parametrize("name", paper_sizes.MODELS)
def test_every_training_runs_on_meta_tensors(name):
    model = paper_sizes.MODELS[name]
    with torch.device("meta"):
        network = model.build()
    assert model.run(network, 1).device.type == "meta"
