"""Crops of recordings with the mel spectra that a vocoder makes them from."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.dataset_parts import OfUtterances
from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex


class WavesWithFeatures(OfUtterances):
    """One random crop of an utterance per draw."""

    def __init__(
        self,
        utterances: Utterances,
        features: Callable[[str], np.ndarray],
        ids: Sequence[str],
        *,
        hop: int,
        crop_frames: int,
        context: int,
    ):
        """
        Args:
            utterances: the recordings.
            features: of an utterance, ``(F, M)``, normalised; of its first F * hop samples.
            ids: utterances to use; those shorter than a crop are left out.
            hop: samples to a frame.
            crop_frames: length of a crop.
            context: frames to either side that come with it; those of the ends are repeated.

        Raises:
            ValueError: none is as long as a crop.
        """
        self._features, self.hop, self.frames, self.context = features, hop, crop_frames, context
        part = utterances.part(ids)
        seconds = (crop_frames + 1) * hop / utterances.sample_rate
        self.ids = part.ids.at(part.durations >= seconds)
        if not len(self.ids):
            raise InputError(
                f"{utterances.data_dir}: none of {len(ids)} utterances is as long as a crop, {seconds:.2f} s; "
                "lower wavenet.crop_frames"
            )
        self.utterances = part.part(self.ids)
        self.durations = np.full(len(self.ids), crop_frames * hop / utterances.sample_rate)

    def __getitem__(self, item: SeededIndex) -> dict[str, np.ndarray]:
        """``wav`` ``(frames * hop,)`` and ``features`` ``(context + frames + context, M)``."""
        utt = self.ids[item.index]
        features = self._features(utt)
        first = int(np.random.default_rng(item.seed).integers(max(1, len(features) - self.frames + 1)))
        places = np.arange(first - self.context, first + self.frames + self.context)
        start = first * self.hop
        size = self.frames * self.hop
        wav = self.utterances.read(utt, lambda length: slice(start, min(length, start + size)))
        wav = np.pad(wav, (0, size - len(wav)))
        return {"wav": wav, "features": features[places.clip(0, len(features) - 1)]}

    @staticmethod
    def collate(items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """``wav (B, S)`` and ``features (B, F, M)``, all of one length."""
        return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
