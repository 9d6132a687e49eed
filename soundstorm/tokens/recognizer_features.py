"""Frozen features of a CTC recogniser that a recipe trains: semantic tokens that know of words.

Du et al., "CosyVoice", 2024, section 2.1, calls them supervised semantic tokens; theirs are quantised inside a
published recogniser, these are clustered as any features are.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.errors import InputError
from soundstorm.data.log_mel import HOP, SAMPLE_RATE, LogMel, stack_frames
from soundstorm.models.recognizer import load_ctc_network
from soundstorm.tokens.features import check_long_enough
from soundstorm.tokens.ssl_features import model_fingerprint


class RecognizerFeatures:
    """The output of one block of ``CtcNetwork``.

    Spectra are normalised over the whole recording, so that a recording is passed through alone.
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
        network, config, _ = load_ctc_network(source, device=device)
        blocks = len(network.stack.blocks)
        if not 0 <= layer <= blocks:
            raise InputError(f"layer {layer} of {source} was asked for, but it has layers 0 to {blocks}")
        self.stack = network.stack
        self.frames_together, self.log_mel = config.stack, LogMel(config.num_mels)
        self.hop = HOP * config.stack
        self.source, self.layer, self.device = source, layer, device
        self.sample_rate, self.frame_rate = SAMPLE_RATE, SAMPLE_RATE / self.hop
        settings = {"layer": layer, "stack": config.stack}
        self.fingerprint = model_fingerprint(network, settings)

    @torch.no_grad()
    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(S // hop, D)`` float32 each."""
        for wav in wavs:
            check_long_enough(wav, self.hop)
        return [self._forward(torch.from_numpy(np.asarray(wav, dtype=np.float32))) for wav in wavs]

    def _forward(self, wav: Tensor) -> np.ndarray:
        frames = stack_frames(self.log_mel(wav), self.frames_together)[: len(wav) // self.hop]
        inside = torch.ones(1, len(frames), dtype=torch.bool, device=self.device)
        return self.stack.after(self.layer, frames[None].to(self.device), inside)[0].float().cpu().numpy()
