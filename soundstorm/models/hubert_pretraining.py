"""HuBERT's pre-training around transformers' HuBERT: prediction of the labels of masked frames.

Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

from soundstorm.data.mel import mel_frequencies
from soundstorm.models.fast_path import speed_up_hubert
from soundstorm.models.hubert_config import HubertPretrainingConfig


def frame_padding(config: HubertConfig) -> tuple[int, tuple[int, int]]:
    """Hop in samples, and the zeros before and after a recording that give one frame to each of its hops.

    With receptive field ``R`` and hop ``H``, convolutions make ``(S - R) // H + 1`` frames of ``S`` samples.
    ``R - H`` further zeros make it ``S // H``, and half of them in front centre each frame on its hop.
    """
    hop, receptive_field = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride):
        receptive_field += (kernel - 1) * hop
        hop *= stride
    excess = max(receptive_field - hop, 0)
    return hop, (excess // 2, excess - excess // 2)


@dataclass
class HubertPrediction:
    """Scores of the labels at chosen frames."""

    logits: Tensor  # (number of frames chosen, K) float32
    states: Tensor  # (B, T, D) output of the last layer


class HubertPretraining(nn.Module):
    """HuBERT with a head that names the cluster of each frame."""

    def __init__(self, hubert: HubertModel, head: nn.Module):
        super().__init__()
        self.hubert = hubert
        self.head = head

    def forward(
        self, wavs: Tensor, *, mask: Tensor, predict: Tensor, lengths: Tensor | None = None
    ) -> HubertPrediction:
        """
        Args:
            wavs: recordings with the zeros of :func:`frame_padding` around them, ``(B, S)`` float.
            mask: frames that the transformer does not see, ``(B, T)`` bool.
            predict: frames to predict, ``(B, T)`` bool; other frames cost no logits.
            lengths: samples of each recording, padding included, ``(B,)``; None where all have ``S``.
        """
        attention_mask = None
        if lengths is not None:
            attention_mask = (torch.arange(wavs.shape[1], device=wavs.device) < lengths[:, None]).long()
        states = self.hubert(wavs, attention_mask=attention_mask, mask_time_indices=mask).last_hidden_state
        return HubertPrediction(self.head(states[predict]), states)


class CosineHead(nn.Module):
    """Similarity of a projected frame to an embedding of each label, over a temperature (eq. 3)."""

    def __init__(self, width: int, num_labels: int, *, label_width: int, temperature: float):
        super().__init__()
        self.projection = nn.Linear(width, label_width)
        self.labels = nn.Parameter(torch.empty(num_labels, label_width).uniform_())
        self.temperature = temperature

    def forward(self, states: Tensor) -> Tensor:
        """``(frames, D)`` to logits ``(frames, K)`` float32."""
        projected = F.normalize(self.projection(states).float(), dim=-1)
        with torch.autocast(states.device.type, enabled=False):
            return projected @ F.normalize(self.labels.float(), dim=-1).T / self.temperature


def build_hubert_pretraining(
    config: HubertPretrainingConfig, num_labels: int, *, sample_rate: int
) -> HubertPretraining:
    """The network of a configuration, randomly initialised.

    Args:
        config: its settings.
        num_labels: clusters K.
        sample_rate: Hz, for the mel scale of the filterbank start.
    """
    hubert = HubertModel(
        HubertConfig(
            hidden_size=config.width,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            intermediate_size=config.feed_forward_width,
            conv_dim=list(config.conv_widths),
            conv_kernel=list(config.conv_kernels),
            conv_stride=list(config.conv_strides),
            num_feat_extract_layers=len(config.conv_widths),
            feat_extract_norm=config.conv_norm,
            conv_bias=config.conv_norm == "layer",
            num_conv_pos_embeddings=config.position_kernel,
            num_conv_pos_embedding_groups=config.position_groups,
            do_stable_layer_norm=config.pre_norm,
            hidden_dropout=config.dropout,
            activation_dropout=0.0,
            attention_dropout=config.dropout,
            feat_proj_dropout=config.dropout,
            final_dropout=0.0,
            layerdrop=config.layer_drop,
            # Masks come from the data set, so that they do not depend on the number of processes. With a
            # probability of zero HubertModel would have no mask embedding.
            mask_time_prob=config.mask_probability,
            mask_time_length=config.mask_span,
            mask_feature_prob=0.0,
        )
    )
    speed_up_hubert(hubert)
    if config.filterbank_start:
        _start_as_filterbank(hubert.feature_extractor.conv_layers[0].conv, sample_rate)
    head = CosineHead(
        config.width, num_labels, label_width=config.label_width, temperature=config.temperature
    )
    return HubertPretraining(hubert, head)


@torch.no_grad()
def _start_as_filterbank(conv: nn.Conv1d, sample_rate: int) -> None:
    """Windowed sinusoids at mel-spaced frequencies, in four phases each.

    A short training would spend most of its time on learning a filterbank; the filters are trained like any
    other weight.
    """
    kernel, bands = conv.kernel_size[0], math.ceil(conv.out_channels / 4)
    frequencies = mel_frequencies(60, 0.475 * sample_rate, bands)
    times = (np.arange(kernel) - (kernel - 1) / 2) / sample_rate
    angles = 2 * np.pi * frequencies[:, None] * times + np.pi / 2 * np.arange(4)[:, None, None]
    filters = np.cos(angles) * np.hanning(kernel + 2)[1:-1]  # (4, bands, kernel)
    filters = filters.transpose(1, 0, 2).reshape(-1, kernel)[: conv.out_channels]
    # As loud as the random start: outputs of unit variance for white noise of unit variance.
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    conv.weight.copy_(torch.from_numpy(filters[:, None].astype(np.float32)))
