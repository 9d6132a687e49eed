"""Masked prediction of cluster labels: the examples, the loss and the way to a HuBERT directory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import HubertModel

from soundstorm.data.audio import Utterances, num_samples
from soundstorm.data.sampler import SeededIndex
from soundstorm.models.hubert_pretraining import HubertPrediction, HubertPretraining, draw_mask, frame_padding
from soundstorm.training.trainer import Loss

# Labels come from other code than HuBERT's own frames, which may count the last incomplete hop.
LENGTH_TOLERANCE = 1  # frames


class HubertDataset:
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
            raise ValueError(f"{utterances.data_dir}: {missing[0]} (and {len(missing) - 1} more) have no labels")
        self.utterances, self.labels = utterances, labels
        self.hop, self.padding, self.normalize = hop, padding, normalize
        self.mask_probability, self.mask_span = mask_probability, mask_span
        self.crop_frames = max(num_samples(crop_seconds, utterances.sample_rate) // hop, 1)
        self.durations = np.minimum(utterances.durations, self.crop_frames * hop / utterances.sample_rate)

    def __len__(self) -> int:
        return len(self.utterances.ids)

    def __getitem__(self, item: SeededIndex) -> dict[str, Tensor]:
        """``wav (S,)`` with its zeros, ``labels (T,)`` int64 and ``mask (T,)`` bool; all chance is the draw's."""
        utt = self.utterances.ids[item.index]
        wav, labels = self.utterances.read(utt), self.labels[utt]
        frames = len(wav) // self.hop
        if abs(frames - len(labels)) > LENGTH_TOLERANCE or not min(frames, len(labels)):
            raise ValueError(
                f"{utt}: {len(labels)} labels, but the recording has {frames} frames of {self.hop} samples; "
                "the labels need the frame rate of the HuBERT, and the same recordings"
            )
        if self.normalize:
            wav = (wav - wav.mean()) / np.sqrt(wav.var() + 1e-7)
        rng = np.random.default_rng(item.seed)
        frames = min(frames, len(labels))
        length = min(frames, self.crop_frames)
        start = int(rng.integers(frames - length + 1))
        mask = draw_mask(length, probability=self.mask_probability, span=self.mask_span, rng=rng)
        cut = wav[start * self.hop : (start + length) * self.hop].astype(np.float32)
        return {
            "wav": F.pad(torch.from_numpy(cut), self.padding),
            "labels": torch.from_numpy(np.asarray(labels[start : start + length], dtype=np.int64)),
            "mask": torch.from_numpy(mask),
        }

    def collate(self, items: list[dict[str, Tensor]]) -> dict[str, Tensor | None]:
        """``wavs (B, S)``, ``lengths (B,)`` (or None), ``labels (B, T)`` (-1 pads), ``mask (B, T)``."""
        lengths = [len(item["wav"]) for item in items]
        pad = nn.utils.rnn.pad_sequence
        return {
            "wavs": pad([item["wav"] for item in items], batch_first=True),
            "lengths": torch.tensor(lengths) if len(set(lengths)) > 1 else None,
            "labels": pad([item["labels"] for item in items], batch_first=True, padding_value=-1),
            "mask": pad([item["mask"] for item in items], batch_first=True, padding_value=False),
        }


class HubertStep:
    """Cross-entropy of the labels of masked frames; of the others too, if they have a weight (eq. 2)."""

    phases = ("model",)

    def __init__(self, model: HubertPretraining, *, unmasked_weight: float = 0.0):
        self.networks: dict[str, nn.Module] = {"model": model}
        self.unmasked_weight = unmasked_weight

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict) -> Loss:
        """Summed over masked frames; ``batch`` as :meth:`HubertDataset.collate` makes it."""
        mask, labels = batch["mask"], batch["labels"]
        valid = labels >= 0
        predict = valid if self.unmasked_weight else mask & valid
        out: HubertPrediction = networks[phase](batch["wavs"], mask=mask, predict=predict, lengths=batch["lengths"])
        wanted, masked = labels[predict], mask[predict]
        entropy = F.cross_entropy(out.logits, wanted, reduction="none")
        right = out.logits.argmax(-1) == wanted
        num_masked = masked.sum()
        metrics = {"masked_accuracy": (right[masked].sum(), num_masked)}
        total = entropy[masked].sum()
        if self.unmasked_weight:
            num_seen = (~masked).sum()
            metrics["masked_loss"] = (total.detach(), num_masked)
            metrics["unmasked_accuracy"] = (right[~masked].sum(), num_seen)
            # Each part is a mean over its own frames.
            total = total + self.unmasked_weight * entropy[~masked].sum() * num_masked / num_seen.clamp(min=1)
        return Loss(total, num_masked, metrics)


def make_dataset(
    utterances: Utterances,
    labels: Mapping[str, np.ndarray],
    model: HubertPretraining,
    *,
    crop_seconds: float,
    normalize: bool,
) -> HubertDataset:
    """The dataset that fits a network."""
    config = model.hubert.config
    hop, padding = frame_padding(config)
    return HubertDataset(
        utterances,
        labels,
        hop=hop,
        padding=padding,
        crop_seconds=crop_seconds,
        mask_probability=config.mask_time_prob,
        mask_span=config.mask_time_length,
        normalize=normalize,
    )


def export_hubert(hubert: HubertModel, directory: str | Path, *, normalize: bool, sample_rate: int) -> None:
    """Write a directory that ``from_pretrained`` reads, whole or not at all."""
    directory = Path(directory)
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        hubert.save_pretrained(temporary)
    except SafetensorError as error:  # a full disk is one to it
        raise OSError(f"{directory}: cannot be written ({error})") from error
    description = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": sample_rate,
        "padding_value": 0.0,
        "padding_side": "right",
        "do_normalize": normalize,
        # Where a normalisation over time sees the padding, BASE models were trained without a mask.
        "return_attention_mask": hubert.config.feat_extract_norm == "layer",
    }
    (temporary / "preprocessor_config.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(directory, ignore_errors=True)
    os.replace(temporary, directory)
