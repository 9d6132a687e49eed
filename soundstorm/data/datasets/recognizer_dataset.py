"""Augmented log-mel spectra of recordings with their characters, for the scoring stage's own recogniser."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from soundstorm.data.audio import Utterances
from soundstorm.data.characters import encode_text
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.data.datasets.dataset_parts import OfUtterances, lengths, pad
from soundstorm.data.errors import InputError
from soundstorm.data.log_mel import FLOOR, HOP, SAMPLE_RATE, LogMel, stack_frames
from soundstorm.data.sampler import SeededIndex

logger = logging.getLogger(__name__)
LEAST_SHARE = 0.95  # of the utterances with a text that must be as long as a frame
LONGEST_TIME_MASK = 20  # spectra: 200 ms
QUIETEST, LOUDEST = np.log(FLOOR), -4.5  # of an added background noise, log magnitude per band


def augment(spectra: Tensor, config: AugmentConfig, generator: np.random.Generator) -> Tensor:
    """Another speaker, another tempo, another channel: so that a small corpus goes a longer way.

    Blur and noise do what a codec does to the fine structure of speech, without a codec.

    Args:
        spectra: log-mel magnitudes (F, M).
        config: how much of each.
        generator: all randomness comes from it.

    Returns:
        (F', M), F' about F times the tempo drawn.
    """
    along_time, along_mel = (2 * int(generator.integers(config.blur, endpoint=True)) + 1 for _ in range(2))
    spectra = F.avg_pool2d(
        spectra[None],
        (along_time, along_mel),
        stride=1,
        padding=(along_time // 2, along_mel // 2),
        count_include_pad=False,
    )[0]
    spectra = spectra + generator.uniform(0, config.jitter) * _noise(spectra, generator)
    if generator.random() < config.floor_probability:
        level = generator.uniform(QUIETEST, LOUDEST)
        spectra = torch.logaddexp(spectra, level + 0.5 * _noise(spectra, generator))
    frames = max(1, round(len(spectra) * generator.uniform(1 - config.tempo, 1 + config.tempo)))
    spectra = F.interpolate(spectra.T[None], size=frames, mode="linear")[0].T
    return _warp(spectra, generator.uniform(1 - config.warp, 1 + config.warp))


def _noise(like: Tensor, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(generator.standard_normal(tuple(like.shape), dtype=np.float32))


def _warp(spectra: Tensor, factor: float) -> Tensor:
    """Stretch the mel axis; bands that come from beyond the highest repeat it."""
    num_mels = spectra.shape[1]
    warped = F.interpolate(spectra[None], size=max(1, round(num_mels * factor)), mode="linear")[0]
    return F.pad(warped[None], (0, max(0, num_mels - warped.shape[1])), mode="replicate")[0][:, :num_mels]


def hide(frames: Tensor, num_mels: int, config: AugmentConfig, generator: np.random.Generator) -> Tensor:
    """SpecAugment on normalised, stacked frames (T, stack * M): zeros over spans of time and of bands."""
    frames = frames.clone()
    spectra = frames.view(-1, num_mels)
    for _ in range(config.time_masks):
        start = int(generator.integers(len(spectra)))
        spectra[start : start + int(generator.integers(LONGEST_TIME_MASK, endpoint=True))] = 0
    for _ in range(config.mel_masks):
        start = int(generator.integers(num_mels))
        spectra[:, start : start + int(generator.integers(num_mels // 5, endpoint=True))] = 0
    return frames


class RecognizerDataset(OfUtterances):
    """Frames of recordings with their characters."""

    def __init__(
        self,
        utterances: Utterances,
        texts: Mapping[str, str],
        vocabulary: dict[str, int],
        *,
        num_mels: int,
        stack: int,
        augmentation: AugmentConfig | None = None,
    ):
        """Keep the utterances that have a text and are as long as a frame.

        Args:
            utterances: the recordings.
            texts: utterance to normalised text.
            vocabulary: characters to numbers.
            num_mels: mel bands.
            stack: spectra that make one frame.
            augmentation: none for validation.

        Raises:
            ValueError: none has a text, or more than 5 % of those with one are too short.
        """
        rows = np.flatnonzero([bool(texts.get(utt_id)) for utt_id in utterances.ids])
        if not len(rows):
            raise InputError(
                f"none of {len(utterances.ids)} utterances has a text; a recogniser needs transcripts"
            )
        rows = self._long_enough(utterances, rows, stack, 0.0 if augmentation is None else augmentation.tempo)
        self.ids, self.durations = utterances.ids.at(rows), utterances.durations[rows]
        self._utterances, self._stack, self._augmentation = utterances, stack, augmentation
        self._texts, self._vocabulary = texts, vocabulary
        self._log_mel = LogMel(num_mels)

    @staticmethod
    def _long_enough(utterances: Utterances, rows: np.ndarray, stack: int, tempo: float) -> np.ndarray:
        """Those that make a frame at the fastest tempo; names the others."""
        spectra = np.floor(utterances.durations[rows] * SAMPLE_RATE / HOP) + 1
        enough = np.round(spectra * (1 - tempo)) >= stack
        if enough.all():
            return rows
        short = utterances.ids.at(rows[~enough])
        least = stack * HOP / SAMPLE_RATE / (1 - tempo)
        more = ", ..." if len(short) > 10 else ""
        message = (
            f"{utterances.data_dir}: {len(short)} of {len(rows)} utterances are shorter than a frame of the "
            f"recogniser, about {least:.2f} s: {', '.join(short[:10])}{more}"
        )
        if len(short) > (1 - LEAST_SHARE) * len(rows):
            raise InputError(f"{message}. At least 95 % must be longer; remove these")
        logger.warning("%s; they are left out", message)
        return rows[enough]

    def __getitem__(self, item: SeededIndex) -> dict[str, Any]:
        utt_id = self.ids[item.index]
        spectra = self._log_mel(torch.from_numpy(self._utterances.read(utt_id)))
        if self._augmentation is None:
            frames = stack_frames(spectra, self._stack)
        else:
            generator = np.random.default_rng(item.seed)
            frames = stack_frames(augment(spectra, self._augmentation, generator), self._stack)
            frames = hide(frames, spectra.shape[1], self._augmentation, generator)
        return {"frames": frames, "target": encode_text(self._texts[utt_id], self._vocabulary)}

    def collate(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad: frames (B, T, D), lengths (B,), targets (sum,), target_lengths (B,)."""
        targets = [torch.tensor(item["target"]) for item in items]
        return {
            "frames": pad(item["frames"] for item in items),
            "lengths": lengths(item["frames"] for item in items),
            "targets": torch.cat(targets),
            "target_lengths": lengths(targets),
        }
