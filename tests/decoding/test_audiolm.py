"""AudioLM's generation: caching, batches, chunks that slide, prompts."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.decoding.audiolm_generator import AudioLMGenerator, LanguageModel
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig
from soundstorm.decoding.audiolm_rows import RowTask, continue_rows
from soundstorm.decoding.sampling import choose
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.models.audiolm import AudioLM, Columns
from soundstorm.models.audiolm_config import AudioLMConfig

SEMANTIC = TokenizerInfo("semantic", "s", "f" * 64, 25.0, 1, 9, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "e" * 64, 50.0, 5, 7, 16000)
SIZES = {"semantic_size": 9, "num_levels": 5, "coarse_levels": 2, "codebook_size": 7}
SAMPLING = AudioLMSamplingConfig(overlap_seconds=0.2)


class Recorded(LanguageModel):
    """A stage that keeps what it was asked for."""

    tasks: list

    def sample(self, tasks, *arguments):
        self.tasks = [*getattr(self, "tasks", []), tasks]
        return super().sample(tasks, *arguments)


def make(name, seconds, positions="time", coarse_levels=2):
    torch.manual_seed(0)
    layout = stage_layout(name, **{**SIZES, "coarse_levels": coarse_levels})
    config = AudioLMConfig(
        layers=2, width=16, heads=2, head_dim=8, inner=24, positions=positions, position_buckets=8, max_distance=16
    )
    model = AudioLM(config, **asdict(layout)).eval()
    torch.nn.init.normal_(model.head.weight)
    if positions == "sequence":
        torch.nn.init.normal_(model.positions.table.weight)
    return Recorded(name, model, layout, seconds, coarse_levels, SEMANTIC, None if name == "semantic" else ACOUSTIC)


@pytest.fixture(params=["sequence", "time"])
def generator(request):
    return AudioLMGenerator(make("coarse", 0.6, request.param), make("fine", 0.4, request.param))


def speech(frames, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 9, frames // 2), rng.integers(0, 7, (frames, 5))


def slow_continuation(stage, task, temperature):
    """One token after the other, everything computed again each time."""
    row, levels, found = task.row, stage.layout.num_levels, []
    columns = {name: value.numpy()[0] for name, value in collate_rows([row]).items()}
    first = int(row.due[-1])
    for place, uniform in enumerate(task.uniforms):
        given = [torch.as_tensor(columns[name])[None] for name in ("ids", "times", "due", "condition")]
        logits = stage.model.level_logits(stage.model.encode(Columns(*given))[:, -1], place % levels)
        token = int(choose(logits, uniform[None], temperature=temperature, top_k=0))
        found.append(token)
        following = {
            "ids": stage.layout.condition_size + place % levels * stage.layout.level_size + token,
            "times": first + place // levels,
            "due": first + (place + 1) // levels,
            "condition": False,
        }
        columns = {name: np.append(columns[name], value) for name, value in following.items()}
    return np.array(found).reshape(-1, levels)


@pytest.mark.parametrize("positions", ["sequence", "time"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_cached_batches_equal_recomputing_each_row_alone(positions, temperature):
    stage, tasks = make("coarse", 1.0, positions), []
    for number, (frames, known) in enumerate([(12, 0), (20, 8), (6, 4), (20, 0)]):
        semantic, codes = speech(frames, seed=number)
        row = stage.layout.row(semantic, 2 * np.arange(len(semantic)), codes[:known, :2])
        uniforms = torch.rand((frames - known) * 2, generator=torch.Generator().manual_seed(number))
        tasks.append(RowTask(row, frames - known, uniforms))
    drawn = continue_rows(stage.model, stage.layout, tasks, temperature=temperature)
    for task, result in zip(tasks, drawn, strict=True):
        with torch.no_grad():
            np.testing.assert_array_equal(result.codes, slow_continuation(stage, task, temperature))
        assert not result.ended


def test_up_to_the_crop_all_is_one_chunk_and_fine_chunks_do_not_overlap(generator):
    semantic, _ = speech(30)
    (codes,) = generator.acoustic_tokens([semantic], SAMPLING, seeds=[1])
    assert codes.shape == (30, 5) and codes.min() >= 0 and codes.max() < 7
    ((coarse,),) = generator.coarse.tasks
    assert coarse.frames == 30 and coarse.row.condition.sum() == 15
    (fine,) = generator.fine.tasks
    assert [task.frames for task in fine] == [20, 10]
    assert [int(task.row.condition.sum()) for task in fine] == [40, 20]


def test_beyond_the_crop_chunks_begin_with_the_end_of_the_one_before(generator):
    semantic, _ = speech(64)
    (codes,) = generator.acoustic_tokens([semantic], SAMPLING, seeds=[1])
    assert codes.shape == (64, 5)
    tasks = [task for (task,) in generator.coarse.tasks]
    assert [task.frames for task in tasks] == [30, 20, 14]  # 0-30, 20-50 and 40-64, of which 10 frames are known
    offsets = 9 + 7 * np.arange(2)
    for task, start in zip(tasks, (0, 20, 40), strict=True):
        end = min(start + 30, 64)
        np.testing.assert_array_equal(task.row.ids[: (end - start) // 2], semantic[start // 2 : end // 2])
        known = task.row.ids[(end - start) // 2 + 1 :].reshape(-1, 2) - offsets
        np.testing.assert_array_equal(known, codes[start : end - task.frames, :2])


@pytest.mark.parametrize(("rate", "tokens"), [(100 / 3, (2, 3)), (200.0, (4, 1)), (12.5, (1, 4))])
def test_chunks_of_any_rate_begin_with_a_token_and_see_each_tokens_first_frame(generator, rate, tokens):
    generator.coarse.semantic = generator.fine.semantic = replace(SEMANTIC, frame_rate=rate)
    generator = AudioLMGenerator(generator.coarse, generator.fine)
    assert (generator.ratio.tokens, generator.ratio.frames) == tokens
    semantic = np.random.default_rng(0).integers(0, 9, round(64 * rate / 50))
    heard = generator.ratio.upsample(semantic)
    (codes,) = generator.acoustic_tokens([semantic], SAMPLING, seeds=[1])
    assert len(codes) == len(heard) and abs(len(codes) - 64) <= 1
    known = 0
    for (task,) in generator.coarse.tasks:
        count = int(task.row.condition.sum())
        times, start = task.row.times[:count], known - (len(task.row.ids) - count - 1) // 2
        assert start in generator.ratio.starts(0, 64) and times[0] == 0
        followed = np.repeat(task.row.ids[:count], np.diff(times, append=known + task.frames - start))
        np.testing.assert_array_equal(followed, heard[start : known + task.frames])
        known += task.frames
    assert known == len(codes)


@pytest.mark.parametrize("prompt_frames", [4, 10, 24, 34])
def test_a_prompt_is_kept_at_all_levels_and_generation_goes_on_from_it(generator, prompt_frames):
    semantic, true = speech(50)
    prompt = true[:prompt_frames]
    (codes,) = generator.acoustic_tokens([semantic], SAMPLING, seeds=[1], prompts=[prompt])
    assert codes.shape == (50, 5)
    np.testing.assert_array_equal(codes[:prompt_frames], prompt)
    assert sum(task.frames for tasks in generator.coarse.tasks for task in tasks) == 50 - prompt_frames
    assert sum(task.frames for tasks in generator.fine.tasks for task in tasks) == 50 - prompt_frames


def test_a_prompt_changes_what_follows(generator):
    semantic, true = speech(40)
    made = [
        generator.acoustic_tokens([semantic], AudioLMSamplingConfig(coarse_temperature=0, fine_temperature=0,
                                                                    overlap_seconds=0.2), seeds=[1], prompts=[p])[0]
        for p in (true[:10], (true[:10] + 1) % 7)
    ]  # fmt: skip
    assert (made[0][10:, :2] != made[1][10:, :2]).any()


def test_an_utterance_is_the_same_alone_and_in_company(generator):
    inputs = [speech(frames, seed=frames) for frames in (24, 70, 38)]
    semantic, prompts = [s for s, _ in inputs], [codes[:8] for _, codes in inputs]
    together = generator.acoustic_tokens(semantic, SAMPLING, seeds=[5, 6, 7], prompts=prompts)
    for i in range(3):
        (alone,) = generator.acoustic_tokens([semantic[i]], SAMPLING, seeds=[5 + i], prompts=[prompts[i]])
        np.testing.assert_array_equal(alone, together[i])


def test_seeds_decide_the_sample(generator):
    semantic, _ = speech(30)
    first, again, other = (generator.acoustic_tokens([semantic], SAMPLING, seeds=[s])[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_two_stages_are_timed_apart(generator):
    stopwatch = Stopwatch()
    semantic, true = speech(50)
    generator.acoustic_tokens([semantic], SAMPLING, seeds=[1], prompts=[true[:10]], stopwatch=stopwatch)
    assert set(stopwatch.parts) == {"audiolm_coarse", "audiolm_fine"}
    for part in stopwatch.parts.values():
        assert part["audio_seconds"] == pytest.approx(40 / 50) and part["seconds"] > 0


def test_without_a_fine_stage_the_coarse_one_writes_all_levels():
    semantic, true = speech(40)
    generator, stopwatch = AudioLMGenerator(make("coarse", 0.6, coarse_levels=5), None), Stopwatch()
    (codes,) = generator.acoustic_tokens([semantic], SAMPLING, seeds=[1], prompts=[true[:8]], stopwatch=stopwatch)
    assert codes.shape == (40, 5) and set(stopwatch.parts) == {"audiolm_coarse"}
    np.testing.assert_array_equal(codes[:8], true[:8])
    assert all(task.row.condition.any() for (task,) in generator.coarse.tasks)


def test_the_acoustic_only_model_knows_how_many_semantic_tokens_there_are_and_nothing_else():
    (semantic, true), (other, _) = speech(80), speech(80, seed=1)
    generator = AudioLMGenerator(make("acoustic", 0.6, coarse_levels=5), None)
    first, second = (
        generator.acoustic_tokens([tokens], SAMPLING, seeds=[1], prompts=[true[:8]])[0] for tokens in (semantic, other)
    )
    np.testing.assert_array_equal(first, second)
    assert first.shape == (80, 5) and len(generator.coarse.tasks) > 4  # chunks slide
    assert not any(task.row.condition.any() for (task,) in generator.coarse.tasks)


def test_what_cannot_be_is_refused(generator):
    semantic, true = speech(64)
    with pytest.raises(ValueError, match="overlap_seconds is 0.6, expected less than the 0.6 s the coarse stage"):
        generator.acoustic_tokens([semantic], AudioLMSamplingConfig(overlap_seconds=0.6), seeds=[1])
    with pytest.raises(ValueError, match="a prompt of 64 frames leaves nothing to generate of 64"):
        generator.acoustic_tokens([semantic], SAMPLING, seeds=[1], prompts=[true])
    with pytest.raises(ValueError, match="2 coarse levels, its fine stage with 1; train both"):
        AudioLMGenerator(generator.coarse, make("fine", 0.4, coarse_levels=1))
    with pytest.raises(ValueError, match="coarse_temperature is -1, expected at least 0"):
        AudioLMSamplingConfig(coarse_temperature=-1)
