"""Masked prediction of cluster labels: the loss, and the way to a HuBERT directory."""

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
from torch import nn
from transformers import HubertModel

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.hubert_dataset import HubertDataset
from soundstorm.models.collectives import sum_over_processes
from soundstorm.models.hubert_pretraining import HubertPrediction, HubertPretraining, frame_padding
from soundstorm.training.step import Loss, OneNetwork


class HubertStep(OneNetwork):
    """Cross-entropy of the labels of masked frames; of the others too, if they have a weight (eq. 2)."""

    def __init__(self, model: HubertPretraining, *, unmasked_weight: float = 0.0):
        super().__init__(model)
        self.unmasked_weight = unmasked_weight

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict) -> Loss:
        """Summed over masked frames; ``batch`` as :meth:`HubertDataset.collate` makes it."""
        mask, labels = batch["mask"], batch["labels"]
        valid = labels >= 0
        predict = valid if self.unmasked_weight else mask & valid
        out: HubertPrediction = networks[phase](
            batch["wavs"], mask=mask, predict=predict, lengths=batch["lengths"]
        )
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
            # Each part is a mean over its own frames, those of all processes.
            masked_frames, seen_frames = sum_over_processes(torch.stack([num_masked, num_seen])).unbind()
            seen = entropy[~masked].sum() * masked_frames / seen_frames.clamp(min=1)
            total = total + self.unmasked_weight * seen
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
    text = json.dumps(description, indent=2) + "\n"
    (temporary / "preprocessor_config.json").write_text(text, encoding="utf-8")
    shutil.rmtree(directory, ignore_errors=True)
    os.replace(temporary, directory)
