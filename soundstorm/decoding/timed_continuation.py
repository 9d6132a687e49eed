"""Semantic tokens that continue a prompt's, by AudioLM's first stage, with their repeats: a token a frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_stages import SEMANTIC
from soundstorm.data.errors import InputError
from soundstorm.decoding.audiolm_generator import LanguageModel, uniforms
from soundstorm.decoding.audiolm_rows import RowTask
from soundstorm.decoding.stopwatch import Stopwatch


class TimedContinuation:
    """AudioLM's semantic stage, trained with ``data.semantic_repeats``: any acoustic generator can follow it."""

    def __init__(self, model: LanguageModel):
        if model.layout.ends:
            raise InputError(
                "AudioLM's semantic stage was trained without repeats of tokens, so nobody knows how long each of "
                "those it writes lasts; train it with data.semantic_repeats true, or use generate_audiolm"
            )
        self.model = model

    @classmethod
    def load(cls, expdir: str | Path, info: TokenizerInfo, device: str = "cpu") -> TimedContinuation:
        """Read an experiment directory of ``train_audiolm --stage semantic``; ``info`` says of which tokens."""
        model = LanguageModel.load(expdir, SEMANTIC, device)
        model.semantic.check_same(info, "AudioLM's semantic stage", "the semantic tokens")
        try:
            return cls(model)
        except ValueError as error:
            raise InputError(f"{expdir}: {error}") from error

    def continue_tokens(
        self,
        prompts: Sequence[np.ndarray],
        lengths: Sequence[int],
        *,
        temperature: float,
        seeds: Sequence[int],
        stopwatch: Stopwatch,
    ) -> list[np.ndarray]:
        """Prompt and continuation of each utterance, int64 ``(T_s,)``; the same alone and in a batch.

        Args:
            prompts: semantic tokens to continue, possibly none.
            lengths: how many there are to be, those of the prompt included.
            temperature: of the sampling; 0 is greedy.
            seeds: one for each utterance.
            stopwatch: is told the time taken.
        """
        nothing, tasks, rate = np.zeros(0, np.int64), [], self.model.semantic.frame_rate
        for prompt, length, seed in zip(prompts, lengths, seeds, strict=True):
            new = length - len(prompt)
            if new < 1:
                raise InputError(f"a prompt of {len(prompt)} semantic tokens leaves nothing to continue of {length}")
            row = self.model.layout.row(nothing, nothing, prompt.astype(np.int64)[:, None])
            tasks.append(RowTask(row, new, uniforms(torch.Generator().manual_seed(seed), new)))
        seconds = [task.frames / rate for task in tasks]
        continued = self.model.sample(tasks, temperature, seconds, stopwatch)
        both = zip(prompts, continued, strict=True)
        return [np.concatenate([prompt.astype(np.int64), new.codes[:, 0]]) for prompt, new in both]
