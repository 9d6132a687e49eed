"""Losses of validation can be compared: its examples are the same whatever a training's seed and masks are."""

from types import SimpleNamespace

import numpy as np
import pytest

from soundstorm.data.datasets.dataset_configs import MaskedTextDataConfig, MaskingConfig
from soundstorm.data.datasets.diffusion_config import DiffusionDataConfig
from soundstorm.data.sampler import SeededIndex
from soundstorm.models.text_to_semantic_config import MaskedTextLossConfig, TextConfig
from soundstorm.training import mask_diffusion_training, soundstorm_training
from soundstorm.training.batches import make_sampler
from soundstorm.training.masked_text_to_semantic_training import train_masked_text_to_semantic
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun
from tests.models.test_masked_text_to_semantic import TINY
from tests.text_to_semantic_toy import write_corpus

TOKENS = SimpleNamespace(durations=np.ones(3), drawn_seconds=None)


def run_of(**config):
    return TrainingRun("a", "b", "exp", config, [])


def draws(seed, shuffle):
    sampler = make_sampler(TOKENS, TrainerConfig(batch_size=2, seed=seed), rank=0, world_size=1, shuffle=shuffle)
    return list(sampler)


def test_items_of_validation_are_drawn_alike_whatever_the_seed_of_training():
    assert draws(0, shuffle=False) == draws(7, shuffle=False)
    assert draws(0, shuffle=True) != draws(7, shuffle=True)


def test_soundstorm_is_validated_by_the_masks_of_the_paper(monkeypatch):
    made = {}
    monkeypatch.setattr(soundstorm_training, "train_on_aligned_tokens", lambda *_, **options: made.update(options))
    masking = MaskingConfig(unprompted=0.5, grid=0.5, levels="linear", noise=0.1)
    soundstorm_training.train_soundstorm(run_of(model=None, masking=masking))
    training, validation = made["make_sets"](TOKENS, TOKENS)
    assert training.config == masking and validation.config == MaskingConfig()


def test_mask_diffusion_is_validated_on_as_many_prompts_whatever_it_is_trained_on(monkeypatch):
    made = {}
    monkeypatch.setattr(mask_diffusion_training, "train_on_aligned_tokens", lambda *_, **options: made.update(options))
    mask_diffusion_training.train_mask_diffusion(run_of(diffusion=None, data=DiffusionDataConfig(unprompted=1.0)))
    training, validation = made["make_sets"](TOKENS, TOKENS)
    assert training.unprompted == 1.0 and validation.unprompted == DiffusionDataConfig().unprompted


@pytest.mark.parametrize("changes", [{"unprompted": 1.0}, {"whole": 1.0}, {"join_probability": 1.0}])
def test_parallel_text_to_semantic_is_validated_on_the_same_examples(tmp_path, monkeypatch, changes):
    corpus, made = write_corpus(tmp_path / "data", utterances=6), {}
    monkeypatch.setattr(TrainingRun, "train", lambda self, step, train, valid: made.update(both=(train, valid)))

    def examples(name, **changes):
        config = {
            "model": TINY, "text": TextConfig(tokenizer="bytes"), "data": MaskedTextDataConfig(**changes),
            "loss": MaskedTextLossConfig(), "training": TrainerConfig(batch_size=2),
        }  # fmt: skip
        train_masked_text_to_semantic(TrainingRun(corpus, corpus, tmp_path / name, config, []))
        return [str([data[SeededIndex(i, (0, i))] for i in range(6)]) for data in made["both"]]

    (training, validation), (trained_otherwise, still) = examples("one"), examples("other", **changes)
    assert training != trained_otherwise and validation == still
