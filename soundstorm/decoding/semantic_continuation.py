"""Semantic tokens that go on, by AudioLM's first stage, with durations for a model that speaks frame by frame.

The stage reads and writes tokens without repeats (AudioLM, section IV-B). AudioLM's own coarse stage may be trained
to find durations by itself; SoundStorm follows the tokens of every frame. So each new token lasts as long as one of
the same kind did in the given speech, drawn at random: the pace is the speaker's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_stages import SEMANTIC
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.errors import InputError
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.pack import open_pack
from soundstorm.decoding.audiolm_generator import LanguageModel, uniforms
from soundstorm.decoding.audiolm_rows import RowTask
from soundstorm.decoding.dialogue import Passage
from soundstorm.decoding.stopwatch import Stopwatch

PART = f"audiolm_{SEMANTIC}"  # of a pack
MOST_SECONDS = 600.0


def load_first_stage(root: str | Path, info: TokenizerInfo, device: str = "cpu") -> LanguageModel:
    """AudioLM's first stage of a pack.

    Args:
        root: the pack.
        info: semantic tokenizer of its other parts.
        device: where the network runs.

    Raises:
        FileNotFoundError: the pack lacks it.
        ValueError: it knows other tokens.
    """
    pack = open_pack(root)
    if PART not in pack.parts:
        raise FileNotFoundError(
            f"{root}: speech is continued by AudioLM's first stage, which this pack lacks; train one (train_audiolm "
            "--stage semantic --expdir exp/audiolm/semantic) and pack it, too (pack_model --acoustic-model exp/audiolm)"
        )
    stage = LanguageModel.load(pack.part(PART), SEMANTIC, device)
    stage.semantic.check_same(info, f"{root}: AudioLM's first stage", "its other parts")
    if not stage.layout.ends:
        raise InputError(
            f"{root}: AudioLM's first stage writes repeats of tokens (data.semantic_repeats is true), expected one "
            "that does not"
        )
    return stage


def continue_tokens(
    stage: LanguageModel,
    semantic: np.ndarray,
    seconds: float,
    *,
    temperature: float,
    seed: int,
    stopwatch: Stopwatch | None = None,
) -> np.ndarray:
    """What comes after ``semantic`` ``(T_s,)``, as so many seconds of tokens ``(T,)``, repeats included.

    Where the stage ends the utterance before, another one follows. Where all of it is longer than what the stage
    was trained on, the oldest tokens are forgotten.

    Args:
        stage: AudioLM's first one.
        semantic: tokens of the given speech, at least one.
        seconds: of the result.
        temperature: of the sampling.
        seed: of the sampling.
        stopwatch: is told the time taken.

    Raises:
        ValueError: ``seconds`` out of range.
    """
    rate = stage.semantic.frame_rate
    if not 1 / rate <= seconds <= MOST_SECONDS:
        raise InputError(f"seconds of speech to add are {seconds}, expected {1 / rate:g} to {MOST_SECONDS:g}")
    stopwatch, stream = stopwatch or Stopwatch(), torch.Generator().manual_seed(seed)
    wanted, nothing = round(seconds * rate), np.zeros(0, np.int64)
    context = deduplicate(np.asarray(semantic, np.int64))
    longest = max(2, round(stage.crop_seconds * rate * len(context) / len(semantic)))  # tokens without repeats
    made = nothing
    while len(made) < wanted:
        if len(context) + wanted - len(made) > longest:
            context = context[-max(1, longest // 2) :]
        count = min(wanted - len(made), longest - len(context))
        task = RowTask(stage.layout.row(nothing, nothing, context[:, None]), count, uniforms(stream, count))
        (new,) = stage.sample([task], temperature, [count / rate], stopwatch)
        tokens = new.codes[:, 0]
        made = np.concatenate([made, np.repeat(tokens, draw_durations(tokens, semantic, stream))])
        context = nothing if new.ended else np.concatenate([context, tokens])
    return made[:wanted]


def draw_durations(tokens: np.ndarray, spoken: np.ndarray, stream: torch.Generator) -> np.ndarray:
    """Frames that each token lasts ``(T,)``: as one of the same kind in speech, or as any where there is none.

    The first and the last run of the speech are not drawn: where the recording was cut they are too short, and
    silence around it too long.

    Args:
        tokens: to be spoken ``(T,)``.
        spoken: tokens of the speech, repeats included ``(T_s,)``.
        stream: of the random numbers.
    """
    starts = np.flatnonzero(np.diff(spoken, prepend=spoken[:1] - 1))
    values, lengths = spoken[starts], np.diff(starts, append=len(spoken))
    if len(values) > 2:
        values, lengths = values[1:-1], lengths[1:-1]
    durations = np.empty(len(tokens), np.int64)
    for place, (token, number) in enumerate(zip(tokens, uniforms(stream, len(tokens)).tolist(), strict=True)):
        choices = lengths[values == token] if token in values else lengths
        durations[place] = choices[int(number * len(choices))]
    return durations


def last_part(passage: Passage, seconds: float, frame_rate: float, ratio: FrameRatio) -> Passage:
    """The end of a passage, from a semantic token on with which a codec frame begins.

    Args:
        passage: recorded speech.
        seconds: of it, at least.
        frame_rate: of its semantic tokens, per second.
        ratio: of both rates.
    """
    start = max(0, len(passage.semantic) - round(seconds * frame_rate))
    start -= start % ratio.tokens
    codes = passage.codes[ratio.num_frames(start) :]
    return replace(passage, turns=(), text=None, semantic=passage.semantic[start:], codes=codes)
