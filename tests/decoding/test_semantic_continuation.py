"""AudioLM's first stage goes on with speech, and gives its tokens durations that the speech has."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.errors import InputError
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.decoding.audiolm_rows import Continuation
from soundstorm.decoding.dialogue import Passage
from soundstorm.decoding.script import Turn
from soundstorm.decoding.semantic_continuation import continue_tokens, draw_durations, last_part

INFO = TokenizerInfo("semantic", "s", "f" * 64, 25.0, 1, 9, 16000)
SPEECH = np.array([8, 8, 8, 1, 1, 2, 1, 1, 1, 3, 3, 2, 2, 2, 2, 8])


@dataclass
class Counting:
    """A stage that counts up from the last token it sees, and ends after a given number of tokens."""

    ends_after: int = 10**9
    crop_seconds: float = 30.0
    semantic: TokenizerInfo = INFO
    seen: list = field(default_factory=list)

    def __post_init__(self):
        sizes = {"num_levels": 0, "coarse_levels": 0, "codebook_size": 0}
        self.layout = stage_layout("semantic", semantic_size=9, **sizes)

    def sample(self, tasks, temperature, seconds, stopwatch):
        (task,) = tasks
        self.seen.append((task.row.ids[1:].tolist(), task.frames))
        count = min(task.frames, self.ends_after)
        first = int(task.row.ids[-1]) + 1 if len(task.row.ids) > 1 else 0
        codes = (first + np.arange(count)) % 9
        return [Continuation(codes[:, None], count < task.frames)]


def go_on(stage, seconds, speech=SPEECH, seed=0):
    return continue_tokens(stage, speech, seconds, temperature=0.6, seed=seed)


def test_durations_are_those_of_the_same_tokens_in_the_speech():
    stream, rng = torch.Generator().manual_seed(3), np.random.default_rng(3)
    inner = {1: {2, 3}, 2: {1, 4}, 3: {2}}  # the runs of 8 are at the edges
    tokens = rng.integers(0, 9, 400)
    durations = draw_durations(tokens, SPEECH, stream)
    for token in range(9):
        assert set(durations[tokens == token].tolist()) == inner.get(token, {1, 2, 3, 4})
    assert draw_durations(np.array([5, 5]), np.array([7, 7, 7]), stream).tolist() == [3, 3]  # there is no other
    assert draw_durations(np.zeros(0, np.int64), SPEECH, stream).shape == (0,)


def test_the_stage_reads_no_repeats_and_the_result_has_them_and_the_wanted_length():
    stage = Counting()
    made = go_on(stage, 4.0)
    assert stage.seen[0] == ([8, 1, 2, 1, 3, 2, 8], 100) and len(stage.seen) == 1
    assert len(made) == 100 and made.dtype == np.int64 and made[0] == 0
    steps = np.diff(made) % 9
    assert set(steps.tolist()) == {0, 1} and (steps == 0).sum() > 30
    np.testing.assert_array_equal(go_on(Counting(), 4.0), made)
    assert (go_on(Counting(), 4.0, seed=1) != made).any()


def test_after_the_end_of_an_utterance_another_one_follows():
    stage = Counting(ends_after=3)
    made = go_on(stage, 1.0)
    assert len(made) == 25 and stage.seen[0][0] == [8, 1, 2, 1, 3, 2, 8]
    assert len(stage.seen) >= 3 and all(context == [] for context, _ in stage.seen[1:])


def test_no_more_is_read_and_written_at_once_than_the_stage_was_trained_on():
    stage = Counting(crop_seconds=1.0)  # 25 frames are about 11 tokens of this speech
    assert len(go_on(stage, 3.0)) == 75
    assert stage.seen[0][0] == [2, 1, 3, 2, 8]
    assert all(len(context) + count <= 11 for context, count in stage.seen)
    for (context, count), (following, _) in zip(stage.seen, stage.seen[1:]):
        written = (context[-1] + 1 + np.arange(count)) % 9
        assert following == [*context, *written.tolist()][-5:]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 601.0])
def test_seconds_out_of_range_are_refused(seconds):
    with pytest.raises(InputError, match="seconds of speech to add are .*, expected 0.04 to 600"):
        go_on(Counting(), seconds)


@pytest.mark.parametrize("ratio", [FrameRatio(1, 2), FrameRatio(2, 3), FrameRatio(1, 1)])
def test_the_end_of_a_passage_begins_with_a_frame(ratio):
    count = 24
    codes = np.arange(ratio.num_frames(count))[:, None]
    passage = Passage((Turn("A", "red"),), "red", np.arange(count), codes)
    end = last_part(passage, 0.36, 25.0, ratio)
    start = int(end.semantic[0])
    assert start <= 15 < start + ratio.tokens and start % ratio.tokens == 0 and end.semantic[-1] == count - 1
    first = next(frame for frame in range(len(codes)) if ratio.token_of(frame) >= start)  # slowly
    assert end.codes[0, 0] == first and end.codes[-1, 0] == len(codes) - 1
    assert end.text is None and end.turns == ()
    whole = last_part(passage, 9.0, 25.0, ratio)
    assert len(whole.semantic) == count and len(whole.codes) == len(codes)
