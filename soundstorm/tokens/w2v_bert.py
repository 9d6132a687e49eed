"""Frozen features of a w2v-BERT 2.0 at 25 frames a second: an open relative of what the paper clusters."""

from __future__ import annotations

import numpy as np
import torch
from transformers import SeamlessM4TFeatureExtractor

from soundstorm.models.hub import pinned
from soundstorm.models.ssl_model import keep_layers, load_pretrained
from soundstorm.tokens.features import SAMPLE_RATE, check_long_enough
from soundstorm.tokens.ssl_features import model_fingerprint

HOP = 640  # samples: 40 ms, two of the model's frames
# Filterbanks look at 400 samples every 160, and the model at pairs of them. With half of what is left over on
# each side of a recording it has four filterbanks to a hop, the middle of which is the middle of the hop.
PADDING = (400 - 160) // 2


class W2vBertFeatures:
    """The output of one layer of a w2v-BERT, two frames averaged.

    The paper's w2v-BERT XL, which is not public, has 25 frames a second itself; this one has 50. Recordings
    are passed through one by one, as its filterbanks are normalised over the whole of what is given.
    """

    def __init__(self, source: str, layer: int, *, device: str = "cpu", local_only: bool = False):
        """
        Args:
            source: directory or hub name.
            layer: 0 for what enters the first layer, up to the number of layers.
            device: where the model runs.
            local_only: see ``model_directory``.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or has no such layer.
        """
        source = pinned(source, local_only=local_only)
        model = load_pretrained(source, "w2v-BERT", ("wav2vec2-bert",), local_only=local_only)
        keep_layers(model.encoder, layer, source)
        self.model = model.eval().requires_grad_(False).to(device)
        self.filterbanks = SeamlessM4TFeatureExtractor()  # the published model's are the defaults
        self.source, self.layer, self.device = source, layer, device
        self.sample_rate, self.frame_rate = SAMPLE_RATE, SAMPLE_RATE / HOP
        self.fingerprint = model_fingerprint(model, {"layer": layer, "hop": HOP})

    @torch.no_grad()
    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(S // 640, D)`` float32 each."""
        check_long_enough(wavs, HOP)
        return [self._forward(wav) for wav in wavs]

    def _forward(self, wav: np.ndarray) -> np.ndarray:
        whole = np.pad(wav[: len(wav) // HOP * HOP], PADDING)
        inputs = self.filterbanks(whole, sampling_rate=SAMPLE_RATE, return_tensors="pt", padding=False)
        output = self.model(inputs["input_features"].to(self.device), output_hidden_states=True)
        states = output.hidden_states[self.layer][0]  # (2 T, D)
        return states.unflatten(0, (-1, 2)).mean(1).float().cpu().numpy()
