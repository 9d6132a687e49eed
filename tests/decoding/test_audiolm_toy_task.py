"""A toy task with a known rule per level for AudioLM's two acoustic stages, as ``test_toy_task.py`` has for SoundStorm.

Semantic tokens s_t are uniform. Level 0 is 3 s_t + 1, level 1 is 3 times level 0, plus 1, plus 1 if s_t is odd; of the
fine levels, which see no semantic tokens, level 2 is 3 times level 1, plus 1 if level 0 is odd, and level 3 is 3 times
level 2, plus 2 (all modulo N). With probability 1 - p_q a token is replaced by a uniformly random one.
"""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_layout import fine_condition, stage_layout
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.decoding.audiolm_generator import AudioLMGenerator, LanguageModel
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig
from soundstorm.models.audiolm import AudioLM
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.training.audiolm_step import AudioLMStep

pytestmark = pytest.mark.integration  # it trains for ten seconds
LEVELS, COARSE, SIZE, FRAMES = 4, 2, 8, 16
KEPT = (0.8, 0.9, 0.75, 0.7)
AGREEMENT = [kept + (1 - kept) / SIZE for kept in KEPT]
SEMANTIC = TokenizerInfo("semantic", "s", "f" * 64, 50.0, 1, SIZE, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "e" * 64, 50.0, LEVELS, SIZE, 16000)
SIZES = {"semantic_size": SIZE, "num_levels": LEVELS, "coarse_levels": COARSE, "codebook_size": SIZE}


def rule(semantic: np.ndarray, codes: np.ndarray, level: int) -> np.ndarray:
    if level == 0:
        return (3 * semantic + 1) % SIZE
    extra = (1 + semantic % 2, codes[..., 0] % 2, 2)[level - 1]
    return (3 * codes[..., level - 1] + extra) % SIZE


def make_data(count: int, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    semantic = rng.integers(0, SIZE, (count, frames))
    codes = np.zeros((count, frames, LEVELS), dtype=np.int64)
    for q in range(LEVELS):
        noisy = rng.random((count, frames)) > KEPT[q]
        codes[..., q] = np.where(noisy, rng.integers(0, SIZE, (count, frames)), rule(semantic, codes, q))
    return semantic, codes


def agreement(semantic, codes, start: int = 0) -> list[float]:
    semantic, codes = np.stack(semantic), np.stack(codes)
    return [float((codes[:, start:, q] == rule(semantic, codes, q)[:, start:]).mean()) for q in range(LEVELS)]


def train_stage(name: str, steps: int = 150) -> LanguageModel:
    torch.manual_seed(0)
    rng, layout = np.random.default_rng(0), stage_layout(name, **SIZES)
    config = AudioLMConfig(
        layers=2, width=48, heads=2, head_dim=24, inner=64, dropout=0.0, positions="time", position_buckets=16,
        max_distance=32,
    )  # fmt: skip
    model = AudioLM(config, **asdict(layout))
    step, optimizer = AudioLMStep(model), torch.optim.AdamW(model.parameters(), lr=6e-3)
    for count in range(steps):
        rows = []
        for semantic, codes in zip(*make_data(24, FRAMES, rng), strict=True):
            if name == "coarse":
                rows.append(layout.row(semantic, np.arange(len(semantic)), codes[:, :COARSE]))
            else:
                rows.append(layout.row(*fine_condition(codes[:, :COARSE], SIZE), codes[:, COARSE:]))
        for group in optimizer.param_groups:
            group["lr"] = 6e-3 * (1 - count / steps)
        loss = step.loss("model", step.networks, collate_rows(rows))
        (loss.total / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return LanguageModel(name, model.eval(), layout, FRAMES / 50, COARSE, SEMANTIC, ACOUSTIC)


@pytest.fixture(scope="module")
def generator() -> AudioLMGenerator:
    return AudioLMGenerator(train_stage("coarse"), train_stage("fine"))


GREEDY = {"coarse_temperature": 0.0, "fine_temperature": 0.0}


def generate(generator, frames, prompt_frames=0, **temperatures):
    semantic, codes = make_data(32, frames, np.random.default_rng(3))
    sampling = AudioLMSamplingConfig(overlap_seconds=6 / 50, **temperatures)
    prompts = [c[:prompt_frames] for c in codes] if prompt_frames else None
    made = generator.acoustic_tokens(list(semantic), sampling, seeds=list(range(32)), prompts=prompts)
    return semantic, codes, made


@pytest.mark.parametrize("prompt_frames", [0, 5])
def test_greedy_generation_obeys_the_rule_at_every_level(generator, prompt_frames):
    semantic, _, made = generate(generator, FRAMES, prompt_frames, **GREEDY)
    assert min(agreement(semantic, made, prompt_frames)) > 0.95


@pytest.mark.parametrize("frames", [FRAMES, 3 * FRAMES])
def test_sampled_generation_obeys_the_rule_as_well_as_the_data_beyond_one_chunk_too(generator, frames):
    semantic, codes, made = generate(generator, frames, 5)
    np.testing.assert_array_equal(np.stack(made)[:, :5], codes[:, :5])
    for level, found in enumerate(agreement(semantic, made, 5)):
        assert found > AGREEMENT[level] - 0.03, f"level {level}: {found} below the data's {AGREEMENT[level]}"


def test_semantic_tokens_that_are_not_those_of_their_frames_fail_this_test(generator):
    """The test can fail: chunks whose conditioning is one frame late."""
    semantic, _, made = generate(generator, FRAMES, **GREEDY)
    late = np.roll(semantic, 1, axis=1)
    assert agreement(late, made)[0] < 0.5
