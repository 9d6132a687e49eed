"""Random crops for the detector of synthesized speech, as many of recordings as of generated speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex


class DetectorDataset:
    """Random crops of log-mel spectra; even items are recordings, odd ones generated."""

    def __init__(self, real: Sequence[Tensor], generated: Sequence[Tensor], crop: int):
        """
        Args:
            real: spectra (F, M) of each recording.
            generated: of each generated utterance.
            crop: spectra in a crop.

        Raises:
            ValueError: nothing is as long as a crop.
        """
        self._kinds = [[spectra for spectra in kind if len(spectra) >= crop] for kind in (real, generated)]
        if not all(self._kinds):
            raise InputError(
                f"{len(self._kinds[0])} of {len(real)} recordings and {len(self._kinds[1])} of "
                f"{len(generated)} generated utterances hold a crop of {crop} spectra; at least "
                "one of each is needed"
            )
        # Every place of a crop is as likely as any other.
        places = [np.array([len(spectra) - crop + 1 for spectra in kind], float) for kind in self._kinds]
        self._chances = [count / count.sum() for count in places]
        self._crop = crop
        self.durations = np.ones(2 * max(sum(len(s) // crop for s in kind) for kind in self._kinds))

    def __len__(self) -> int:
        return len(self.durations)

    def __getitem__(self, item: SeededIndex) -> dict[str, Any]:
        generator, label = np.random.default_rng(item.seed), item.index % 2
        spectra = self._kinds[label][generator.choice(len(self._kinds[label]), p=self._chances[label])]
        start = int(generator.integers(len(spectra) - self._crop, endpoint=True))
        return {"spectra": spectra[start : start + self._crop], "label": float(label)}

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """spectra (B, F, M), labels (B,): 1 for generated speech."""
        return {
            "spectra": torch.stack([item["spectra"] for item in items]),
            "labels": torch.tensor([item["label"] for item in items]),
        }
