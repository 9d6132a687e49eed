"""Frozen features of a HuBERT, WavLM, wav2vec 2.0 or data2vec-audio, one frame to every hop."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from torch import Tensor, nn

from soundstorm.data.audio import normalize
from soundstorm.models.hub import pinned
from soundstorm.models.hubert_pretraining import frame_padding
from soundstorm.models.ssl_model import keep_layers, load_ssl_model, sees_padding
from soundstorm.tokens.features import check_long_enough


class SslFeatures:
    """The output of one layer of a self-supervised model.

    The convolutions need ``receptive field - hop`` samples more than the hops they cover, so that a recording
    would lose a frame (400 samples see one hop of 320). Zeros around it, half on each side, give ``S // hop``
    frames, frame ``t`` centred on the middle of hop ``t``.

    Recordings of a batch are padded to the longest, and padding is masked out of the attention. Where that
    does not keep it from changing the frames, each recording is passed through alone: features do not depend
    on the batch.
    """

    def __init__(self, source: str, layer: int, *, device: str = "cpu", local_only: bool = False):
        """
        Args:
            source: directory or hub name.
            layer: 0 for what enters the first layer, up to the number of layers.
            device: where the model runs.
            local_only: see ``model_directory``.
        """
        source = pinned(source, local_only=local_only)
        model, self.do_normalize, self.sample_rate = load_ssl_model(source, local_only=local_only)
        keep_layers(model.encoder, layer, source)
        self.model = model.eval().requires_grad_(False).to(device)
        self.source, self.layer, self.device = source, layer, device
        self.hop, self.padding = frame_padding(model.config)
        self.frame_rate = self.sample_rate / self.hop
        self.alone = sees_padding(model.config)
        self.fingerprint = model_fingerprint(model, {"layer": layer, "do_normalize": self.do_normalize})

    @torch.no_grad()
    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(S // hop, D)`` float32 each."""
        check_long_enough(wavs, self.hop)
        wavs = [normalize(wav) for wav in wavs] if self.do_normalize else wavs
        batches = [[wav] for wav in wavs] if self.alone else [wavs]
        return [features for batch in batches for features in self._forward(batch)]

    def _forward(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        left, right = self.padding
        lengths = [len(wav) // self.hop for wav in wavs]
        longest = max(lengths) * self.hop + left + right
        padded, mask = torch.zeros(len(wavs), longest), torch.zeros(len(wavs), longest, dtype=torch.long)
        for row, (wav, length) in enumerate(zip(wavs, lengths)):
            # Cut to whole hops: else a recording's last frame would see a rest that its neighbour's padding
            # hides.
            whole = torch.from_numpy(np.ascontiguousarray(wav[: length * self.hop], dtype=np.float32))
            padded[row, left : left + len(whole)] = whole
            mask[row, : left + len(whole) + right] = 1
        same = len(set(lengths)) == 1
        output = self.model(
            padded.to(self.device),
            attention_mask=None if same else mask.to(self.device),
            output_hidden_states=True,
        )
        states: Tensor = output.hidden_states[self.layer]
        return [states[row, :length].float().cpu().numpy() for row, length in enumerate(lengths)]


def model_fingerprint(model: nn.Module, settings: dict[str, int | bool]) -> str:
    """A digest of everything that features depend on: weights and settings."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
