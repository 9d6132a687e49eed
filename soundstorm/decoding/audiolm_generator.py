"""AudioLM's generation, token by token: coarse levels from semantic tokens, then fine from coarse ones.

Beyond the length it was trained on, the coarse stage uses a sliding window: each chunk is prompted with the
last seconds of the previous one. Chunks of the fine stage do not overlap (AudioLM, section IV-B).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_layout import Layout, fine_condition, stage_layout
from soundstorm.data.audiolm_stages import ACOUSTIC, COARSE, FINE, SEMANTIC, AudioLMRecord
from soundstorm.data.batching import batch_by_length
from soundstorm.data.datasets.dataset_configs import AudioLMDataConfig
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.decoding.acoustic_generator import TimedPart, stage_place
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig
from soundstorm.decoding.audiolm_rows import Continuation, RowTask, continue_rows
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.models.audiolm import AudioLM
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.devices import ready_for_single_steps
from soundstorm.tokens.acoustic import AcousticTokenizer

BATCH_COLUMNS = 32768  # of a padded batch: its keys and values fit into the memory of any machine


@dataclass
class LanguageModel:
    """One of AudioLM's trained stages, with the configuration of its experiment directory."""

    stage: str
    model: AudioLM
    layout: Layout
    crop_seconds: float  # it was trained on
    coarse_levels: int
    semantic: TokenizerInfo
    acoustic: TokenizerInfo | None

    @classmethod
    def load(cls, expdir: str | Path, stage: str, device: str = "cpu") -> "LanguageModel":
        """Read an experiment directory of ``train_audiolm --stage``.

        Raises:
            ValueError: it is another kind of experiment, or another stage.
        """
        record = config_section(expdir, "audiolm", AudioLMRecord)
        if record.stage != stage:
            raise InputError(
                f"{Path(expdir) / 'config.yaml'}: this is AudioLM's {record.stage} stage, "
                f"expected the {stage} one"
            )
        semantic = config_section(expdir, "semantic", TokenizerInfo)
        acoustic = None if stage == SEMANTIC else config_section(expdir, "acoustic", TokenizerInfo)
        data = config_section(expdir, "data", AudioLMDataConfig)
        layout = stage_layout(
            stage, semantic_size=semantic.codebook_size, num_levels=acoustic.num_levels if acoustic else 0,
            coarse_levels=record.coarse_levels, codebook_size=acoustic.codebook_size if acoustic else 0,
            deduplicate=data.deduplicate, semantic_repeats=data.semantic_repeats,
        )  # fmt: skip
        model = AudioLM(config_section(expdir, "model", AudioLMConfig), **vars(layout))
        load_weights(expdir, model)
        model = ready_for_single_steps(model, device)
        return cls(stage, model, layout, data.seconds(stage), record.coarse_levels, semantic, acoustic)

    def sample(
        self, tasks: Sequence[RowTask], temperature: float, seconds: Sequence[float], stopwatch: Stopwatch
    ) -> list[Continuation]:
        """Continue each task; ``seconds`` of audio that each one makes, for the stopwatch, which counts tokens too."""
        results: list[Continuation | None] = [None] * len(tasks)
        for batch in batch_by_length([task.columns(self.layout) for task in tasks], BATCH_COLUMNS):
            with stopwatch.part(f"audiolm_{self.stage}", sum(seconds[i] for i in batch)):
                found = continue_rows(
                    self.model, self.layout, [tasks[i] for i in batch], temperature=temperature
                )
            stopwatch.counts["passes"] += sum(each.codes.size + each.ended for each in found)
            for i, result in zip(batch, found, strict=True):
                results[i] = result
        return results


class AudioLMGenerator:
    """Stages 2 and 3 as an :class:`~soundstorm.decoding.acoustic_generator.AcousticGenerator`."""

    def __init__(self, coarse: LanguageModel, fine: LanguageModel | None):
        """
        Args:
            coarse: trained with the repeats of semantic tokens; or the acoustic stage.
            fine: trained on the same tokens; None where all levels are coarse.
        """
        if coarse.layout.ends:
            raise InputError(
                "AudioLM's coarse stage was trained without repeats of semantic tokens, so it cannot follow "
                "their timing; train it with data.deduplicate false, or use generate_audiolm for continuation"
            )
        if fine is not None:
            check_pair(coarse, fine)
        self.coarse, self.fine = coarse, fine
        self.semantic_info, self.acoustic_info = coarse.semantic, coarse.acoustic
        self.ratio = FrameRatio.of(coarse.semantic, coarse.acoustic)

    @classmethod
    def load(
        cls, place: str | Path, codec: AcousticTokenizer, device: str = "cpu"
    ) -> "AudioLMGenerator":
        """The experiment directory that holds its stages, or a pack; ``codec`` will make the waveform."""
        def load(stage: str) -> LanguageModel:
            return LanguageModel.load(stage_place(place, "audiolm", stage), stage, device)

        coarse = load(COARSE)
        generator = cls(coarse, load(FINE) if coarse.coarse_levels < coarse.acoustic.num_levels else None)
        generator.acoustic_info.check_same(codec.info, "AudioLM's training", "the codec given")
        return generator

    @classmethod
    def load_acoustic(cls, place: str | Path, codec: AcousticTokenizer, device: str = "cpu") -> "AudioLMGenerator":
        """The acoustic-only model, which knows of semantic tokens only how many there are.

        Args:
            place: experiment directory of ``train_audiolm --stage acoustic``.
            codec: will make the waveform.
            device: where the network runs.
        """
        model = LanguageModel.load(place, ACOUSTIC, device)
        model.acoustic.check_same(codec.info, "AudioLM's training", "the codec given")
        if model.coarse_levels < model.acoustic.num_levels:
            raise InputError(
                f"{place}: the acoustic stage has {model.coarse_levels} of {model.acoustic.num_levels} levels, "
                f"and there is no fine stage for it; train it with data.coarse_levels {model.acoustic.num_levels}"
            )
        return cls(model, None)

    def acoustic_tokens(
        self,
        semantic: Sequence[np.ndarray],
        config: AudioLMSamplingConfig,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray | None] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> list[np.ndarray]:
        """Acoustic tokens ``(T, Q)`` of several utterances."""
        stopwatch = stopwatch or Stopwatch()
        empty = np.zeros((0, self.acoustic_info.num_levels), dtype=np.int64)
        given = [empty] * len(semantic) if prompts is None else [empty if p is None else p for p in prompts]
        frames = [self.ratio.num_frames(len(tokens)) for tokens in semantic]
        for number, (prompt, length) in enumerate(zip(given, frames, strict=True)):
            if len(prompt) >= length:
                raise InputError(
                    f"utterance {number}: a prompt of {len(prompt)} frames leaves nothing to generate of "
                    f"{length}; the semantic tokens must cover prompt and target"
                )
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        coarse = self._coarse(semantic, frames, given, streams, config, stopwatch)
        if self.fine is None:
            return coarse
        return add_fine_levels(self.fine, coarse, given, streams, config.fine_temperature, stopwatch)

    def _coarse(self, semantic, frames, given, streams, config, stopwatch) -> list[np.ndarray]:
        rate, levels = self.acoustic_info.frame_rate, self.coarse.coarse_levels
        chunk, overlap = round(self.coarse.crop_seconds * rate), round(config.overlap_seconds * rate)
        if max(frames) > chunk and chunk - overlap < -(-self.ratio.frames // self.ratio.tokens):
            raise InputError(
                f"audiolm.overlap_seconds is {config.overlap_seconds}, expected less than the "
                f"{self.coarse.crop_seconds:g} s the coarse stage was trained on"
            )
        done = [prompt[:, :levels].astype(np.int64) for prompt in given]
        upsampled = [self.ratio.upsample(tokens) for tokens in semantic]
        left = list(range(len(done)))
        while left:
            tasks, seconds = [], []
            for i in left:
                known = len(done[i])
                start = 0 if known < chunk else int(self.ratio.starts(0, known - overlap + 1)[-1])
                end = min(frames[i], start + chunk)
                begins = self.ratio.starts(start, end)
                condition = upsampled[i][begins], begins - start
                if self.coarse.stage == ACOUSTIC:
                    condition = (np.zeros(0, np.int64),) * 2
                row = self.coarse.layout.row(*condition, done[i][start:])
                tasks.append(RowTask(row, end - known, uniforms(streams[i], (end - known) * levels)))
                seconds.append((end - known) / rate)
            for i, new in zip(left, self.coarse.sample(tasks, config.coarse_temperature, seconds, stopwatch)):
                done[i] = np.concatenate([done[i], new.codes])
            left = [i for i in left if len(done[i]) < frames[i]]
        return done


def check_pair(coarse: LanguageModel, fine: LanguageModel) -> None:
    """Raise ValueError for a coarse and a fine stage that were not trained on the same tokens."""
    coarse.acoustic.check_same(fine.acoustic, "AudioLM's coarse stage", "its fine stage")
    coarse.semantic.check_same(fine.semantic, "AudioLM's coarse stage", "its fine stage")
    if coarse.coarse_levels != fine.coarse_levels:
        raise InputError(
            f"AudioLM's coarse stage was trained with {coarse.coarse_levels} coarse levels, its fine stage "
            f"with {fine.coarse_levels}; train both with the same data.coarse_levels"
        )


def add_fine_levels(
    fine: LanguageModel,
    coarse: Sequence[np.ndarray],
    given: Sequence[np.ndarray],
    streams: Sequence[torch.Generator],
    temperature: float,
    stopwatch: Stopwatch,
) -> list[np.ndarray]:
    """The fine stage, on all chunks of all utterances at once.

    Args:
        fine: the stage.
        coarse: codes ``(T, Q')`` of each utterance.
        given: its prompt at all levels ``(P, Q)``, possibly empty.
        streams: random number generator of each utterance.
        temperature: of the sampling.
        stopwatch: is told the time taken.

    Returns:
        Codes ``(T, Q)`` of each utterance, int64.
    """
    rate, levels = fine.acoustic.frame_rate, fine.coarse_levels
    chunk, size = round(fine.crop_seconds * rate), fine.acoustic.codebook_size
    results = [np.zeros((len(codes), fine.acoustic.num_levels), np.int64) for codes in coarse]
    places, tasks, seconds = [], [], []
    for i, (codes, prompt) in enumerate(zip(coarse, given, strict=True)):
        results[i][:, :levels] = codes
        results[i][: len(prompt)] = prompt
        for start in range(0, len(codes), chunk):
            end, known = min(start + chunk, len(codes)), max(start, len(prompt))
            if known >= end:
                continue
            row = fine.layout.row(*fine_condition(codes[start:end], size), prompt[start:end, levels:])
            numbers = uniforms(streams[i], (end - known) * fine.layout.num_levels)
            tasks.append(RowTask(row, end - known, numbers))
            places.append((i, known, end))
            seconds.append((end - known) / rate)
    drawn = fine.sample(tasks, temperature, seconds, stopwatch)
    for (i, known, end), new in zip(places, drawn, strict=True):
        results[i][known:end, levels:] = new.codes
    return results


def uniforms(stream: torch.Generator, count: int) -> torch.Tensor:
    """Random numbers in [0, 1), ``(count,)``."""
    return torch.rand(count, generator=stream)


def timed_language_model(
    model: LanguageModel, semantic_tokens: Callable[[float], np.ndarray], temperature: float
) -> TimedPart:
    """Unprompted first stage: as many tokens as speech of the given seconds has without repeats."""

    def part(seconds: float):
        tokens = semantic_tokens(seconds)
        wanted = len(deduplicate(tokens)) if model.layout.ends else len(tokens)
        nothing = np.zeros(0, np.int64)
        row = model.layout.row(nothing, nothing, nothing[:, None])

        def run() -> float:
            made, stream = 0, torch.Generator().manual_seed(0)
            while made < wanted:  # an utterance that ends by itself is followed by another one
                task = RowTask(row, wanted - made, uniforms(stream, wanted - made))
                (new,) = continue_rows(model.model, model.layout, [task], temperature=temperature)
                made += len(new.codes)
            return seconds

        return run

    return part
