"""Semantic tokens that continue a prompt's, a token a frame."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.decoding.audiolm_generator import LanguageModel
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.timed_continuation import TimedContinuation
from soundstorm.models.audiolm import AudioLM, Columns
from soundstorm.models.audiolm_config import AudioLMConfig

INFO = TokenizerInfo("semantic", "s", "f" * 64, 25.0, 1, 9, 16000)
PROMPTS = [np.array(tokens, np.uint16) for tokens in ([3, 3, 4], [], [0, 8, 8, 8, 1])]
LENGTHS = [12, 7, 6]


def make(repeats=True):
    torch.manual_seed(0)
    sizes = {"semantic_size": 9, "num_levels": 0, "coarse_levels": 0, "codebook_size": 0}
    layout = stage_layout("semantic", **sizes, semantic_repeats=repeats)
    config = AudioLMConfig(layers=2, width=16, heads=2, head_dim=8, inner=24, positions="time")
    model = AudioLM(config, **asdict(layout)).eval()
    torch.nn.init.normal_(model.head.weight)
    return LanguageModel("semantic", model, layout, 1.0, 0, INFO, None)


def go_on(chosen, stopwatch=None, temperature=0.8):
    options = {"temperature": temperature, "seeds": [5 + i for i in chosen], "stopwatch": stopwatch or Stopwatch()}
    continuation = TimedContinuation(make())
    return continuation.continue_tokens([PROMPTS[i] for i in chosen], [LENGTHS[i] for i in chosen], **options)


def test_a_continuation_has_the_length_asked_for_and_begins_with_its_prompt():
    stopwatch = Stopwatch()
    made = go_on(range(3), stopwatch)
    assert [len(tokens) for tokens in made] == LENGTHS
    for tokens, prompt in zip(made, PROMPTS, strict=True):
        np.testing.assert_array_equal(tokens[: len(prompt)], prompt)
        assert tokens.dtype == np.int64 and tokens.min() >= 0 and tokens.max() < 9
    seconds = sum(LENGTHS) / 25 - sum(map(len, PROMPTS)) / 25
    assert stopwatch.parts["audiolm_semantic"]["audio_seconds"] == pytest.approx(seconds)


def test_it_is_the_same_alone_and_in_company():
    for number, tokens in enumerate(go_on(range(3))):
        np.testing.assert_array_equal(go_on([number])[0], tokens)


def test_greedy_tokens_are_the_likeliest_ones_of_a_model_that_reads_all_before():
    (made,) = go_on([0], temperature=0.0)
    stage, nothing = make(), np.zeros(0, np.int64)
    for place in range(len(PROMPTS[0]), len(made)):
        row = stage.layout.row(nothing, nothing, made[:place, None])
        batch = collate_rows([row])
        with torch.no_grad():
            states = stage.model.encode(Columns(*(batch[name] for name in ("ids", "times", "due", "condition"))))
        assert int(stage.model.level_logits(states[:, -1], 0).argmax()) == made[place]


def test_what_cannot_be_continued_is_refused():
    with pytest.raises(ValueError, match="train it with data.semantic_repeats true"):
        TimedContinuation(make(repeats=False))
    options = {"temperature": 1.0, "seeds": [0], "stopwatch": Stopwatch()}
    with pytest.raises(ValueError, match="a prompt of 3 semantic tokens leaves nothing to continue of 3"):
        TimedContinuation(make()).continue_tokens(PROMPTS[:1], [3], **options)
