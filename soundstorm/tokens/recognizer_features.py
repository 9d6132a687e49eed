"""Frozen features of a CTC recogniser that a recipe trains: semantic tokens that know of words.

Du et al., "CosyVoice", 2024, section 2.1, calls them supervised semantic tokens; theirs are quantised inside a
published recogniser, these are clustered as any features are.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.log_mel import SAMPLE_RATE
from soundstorm.models.recognizer import RecognizerLayers
from soundstorm.tokens.features import check_long_enough
from soundstorm.tokens.ssl_features import model_fingerprint


class RecognizerFeatures:
    """The output of one block of ``CtcNetwork``, of each recording alone.

    Unlike those of other families, frame ``t`` is centred 80 samples before the middle of the ``t``-th hop
    (:class:`RecognizerLayers`); moved there, tokens would be others than those that models have learnt.
    """

    def __init__(self, source: str, layer: int, *, device: str = "cpu", local_only: bool = False):
        """
        Args:
            source: experiment directory of ``train_recognizer``.
            layer: 0 for what enters the first block, up to the number of blocks.
            device: where the network runs.
            local_only: nothing is ever downloaded.

        Raises:
            FileNotFoundError: there is none.
            InputError: an experiment of another kind, or no such layer.
        """
        self.layers = RecognizerLayers(source, layer).to(device)
        self.hop = self.layers.hop
        self.source, self.layer, self.device = source, layer, device
        self.sample_rate, self.frame_rate = SAMPLE_RATE, SAMPLE_RATE / self.hop
        settings = {"layer": layer, "stack": self.layers.frames_together}
        self.fingerprint = model_fingerprint(self.layers.network, settings)

    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(S // hop, D)`` float32 each."""
        check_long_enough(wavs, self.hop)
        return [self._forward(torch.from_numpy(np.asarray(wav, dtype=np.float32))) for wav in wavs]

    def _forward(self, wav: Tensor) -> np.ndarray:
        features = self.layers(wav[None].to(self.device), torch.tensor([len(wav)], device=self.device))
        return features[0].float().cpu().numpy()
