"""Recordings with the labels that HuBERT predicts, and with the frames that are masked.

Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden
Units", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from soundstorm.data.audio import Utterances, normalize, num_samples
from soundstorm.data.datasets.dataset_parts import OfUtterances, lengths, pad
from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex

# Labels come from other code than HuBERT's own frames, which may count the last incomplete hop.
LENGTH_TOLERANCE = 1  # frames


def draw_span_mask(num_frames: int, *, probability: float, span: int, rng: np.random.Generator) -> np.ndarray:
    """Frames to mask: spans from random starts, which may overlap (section II-C; wav2vec 2.0, section 3.1).

    Args:
        num_frames: frames of the example.
        probability: share of all frames that are starts, drawn without replacement.
        span: frames masked from each start on.
        rng: source of the draw.

    Returns:
        ``(num_frames,)`` bool with at least one frame masked, if there is one.
    """
    mask = np.zeros(num_frames, dtype=bool)
    places = max(num_frames - span + 1, min(num_frames, 1))
    starts = min(max(int(probability * num_frames + rng.random()), 1), places)
    for start in rng.choice(places, size=starts, replace=False) if places else ():
        mask[start : start + span] = True
    return mask


class HubertDataset(OfUtterances):
    """Recordings with the label and the mask of every frame."""

    def __init__(
        self,
        utterances: Utterances,
        labels: Mapping[str, np.ndarray],
        *,
        hop: int,
        padding: tuple[int, int],
        crop_seconds: float,
        mask_probability: float,
        mask_span: int,
        normalize: bool,
    ):
        """
        Args:
            utterances: the recordings.
            labels: utterance to labels ``(T,)``.
            hop: samples per frame.
            padding: zeros before and after an example (see ``frame_padding``).
            crop_seconds: longest example.
            mask_probability: share of frames that start a masked span.
            mask_span: frames of such a span.
            normalize: bring each recording to zero mean and unit variance.
        """
        missing = [utt for utt in utterances.ids if utt not in labels]
        if missing:
            raise InputError(
                f"{utterances.data_dir}: {missing[0]} (and {len(missing) - 1} more) have no labels"
            )
        self.utterances, self.ids, self.labels = utterances, utterances.ids, labels
        self.hop, self.padding, self.normalize = hop, padding, normalize
        self.mask_probability, self.mask_span = mask_probability, mask_span
        self.crop_frames = max(num_samples(crop_seconds, utterances.sample_rate) // hop, 1)
        self.durations = np.minimum(utterances.durations, self.crop_frames * hop / utterances.sample_rate)

    def __getitem__(self, item: SeededIndex) -> dict[str, Tensor]:
        """``wav (S,)`` with its zeros, ``labels (T,)`` int64 and ``mask (T,)`` bool."""
        utt = self.ids[item.index]
        labels, rng = self.labels[utt], np.random.default_rng(item.seed)
        start = length = 0

        def crop(samples: int) -> slice:
            nonlocal start, length
            frames = samples // self.hop
            if abs(frames - len(labels)) > LENGTH_TOLERANCE or not min(frames, len(labels)):
                raise InputError(
                    f"{utt}: {len(labels)} labels, but the recording has {frames} frames of {self.hop} samples; "
                    "the labels need the frame rate of the HuBERT, and the same recordings"
                )
            frames = min(frames, len(labels))
            length = min(frames, self.crop_frames)
            start = int(rng.integers(frames - length + 1))
            return slice(start * self.hop, (start + length) * self.hop)

        if self.normalize:  # over all of the recording
            wav = normalize(self.utterances.read(utt))
            wav = wav[crop(len(wav))]
        else:
            wav = self.utterances.read(utt, crop)
        mask = draw_span_mask(length, probability=self.mask_probability, span=self.mask_span, rng=rng)
        return {
            "wav": F.pad(torch.from_numpy(wav.astype(np.float32)), self.padding),
            "labels": torch.from_numpy(np.asarray(labels[start : start + length], dtype=np.int64)),
            "mask": torch.from_numpy(mask),
        }

    def collate(self, items: list[dict[str, Tensor]]) -> dict[str, Tensor | None]:
        """``wavs (B, S)``, ``lengths (B,)`` (or None), ``labels (B, T)`` (-1 pads), ``mask (B, T)``."""
        samples = lengths(item["wav"] for item in items)
        return {
            "wavs": pad(item["wav"] for item in items),
            "lengths": samples if len(samples.unique()) > 1 else None,
            "labels": pad((item["labels"] for item in items), -1),
            "mask": pad(item["mask"] for item in items),
        }
