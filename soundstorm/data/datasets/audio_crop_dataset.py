"""Recordings, or random parts of them, as a dataset for the trainer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.audio import Utterances, num_samples
from soundstorm.data.datasets.dataset_parts import OfUtterances, pad
from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex

CACHED_SECONDS = 4 * 3600.0  # about 0.9 GB at 16 kHz


class AudioCropDataset(OfUtterances):
    """Gives one random part of an utterance per draw.

    Recordings are kept in memory if all of them together last no longer than ``CACHED_SECONDS``; of a larger
    set hardly one would be asked for again while it is there, and only what is asked for is decoded.
    """

    def __init__(self, utterances: Utterances, crop_seconds: float | None, *, cache: bool = True):
        """
        Args:
            utterances: where the audio comes from.
            crop_seconds: length of the parts; shorter utterances are given whole. None: always whole.
            cache: keep what was read, if that is little.
        """
        if crop_seconds is not None and crop_seconds <= 0:
            raise InputError(
                f"crop_seconds is {crop_seconds}, expected more than 0 (or none for whole utterances)"
            )
        self.utterances, self.ids = utterances, utterances.ids
        limit = np.inf if crop_seconds is None else crop_seconds
        self.durations = np.minimum(utterances.durations, limit)  # of the parts, in seconds
        self.crop = None if crop_seconds is None else num_samples(crop_seconds, utterances.sample_rate)
        self._caches = cache and utterances.durations.sum() <= CACHED_SECONDS
        self._cache: dict[str, np.ndarray] = {}

    def __getitem__(self, item: SeededIndex) -> dict:
        """``wav`` float32 (S,), ``length`` S, ``utt_id``, and ``chance``: a number in [0, 1) of this visit.

        The chance is for a choice the training step makes per example; taken here it depends on the draw
        alone, not on how many processes share the batch.
        """
        rng = np.random.default_rng(item.seed)
        utt = self.ids[item.index]

        def crop(length: int) -> slice:
            if self.crop is None or length <= self.crop:
                return slice(0, length)
            start = int(rng.integers(length - self.crop + 1))
            return slice(start, start + self.crop)

        if not self._caches:
            wav = self.utterances.read(utt, crop)
        else:
            if utt not in self._cache:
                self._cache[utt] = self.utterances.read(utt)
            wav = self._cache[utt][crop(len(self._cache[utt]))]
        return {"wav": wav, "length": len(wav), "utt_id": utt, "chance": rng.random()}

    @staticmethod
    def collate(items: list[dict]) -> dict[str, Tensor]:
        """``wav`` (B, S) padded with zeros, ``length`` (B,), ``chance`` (B,)."""
        return {
            "wav": pad(item["wav"] for item in items),
            "length": torch.tensor([item["length"] for item in items]),
            "chance": torch.tensor([item["chance"] for item in items], dtype=torch.float64),
        }
