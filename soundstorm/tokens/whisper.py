"""Frozen features of Whisper's encoder at 50 frames a second, without its padding to 30 s.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, section 2.2.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import WhisperFeatureExtractor

from soundstorm.models.hub import pinned
from soundstorm.models.ssl_model import keep_layers, load_pretrained
from soundstorm.tokens.features import SAMPLE_RATE, check_long_enough
from soundstorm.tokens.ssl_features import model_fingerprint

HOP = 320  # samples: 20 ms, two of the spectrogram's frames
SILENCE = 25  # frames: half a second behind a recording, as there is always some in training
OVERLAP = 100  # frames: two seconds that neighbouring windows of a long recording share


class WhisperFeatures:
    """The output of one layer of Whisper's encoder.

    In training every recording is padded to 30 s by silence. Half a second of it will do, with the first of
    the positional embeddings: the encoder then has a fraction of the frames to attend to. A recording longer
    than 30 s less that silence is cut into windows that overlap; of two neighbours each gives its half of
    what they share.

    Spectrogram frames are 160 samples apart, the first one centred on the first sample. Without it, output
    ``t`` is centred on the middle of hop ``t``. Padding in a batch is masked in the attention, and no
    convolution sees it.
    """

    padded = False  # to 30 s, as in training

    def __init__(self, source: str, layer: int, *, device: str = "cpu", local_only: bool = False):
        """
        Args:
            source: directory or hub name.
            layer: 0 for what enters the first layer, up to the number of layers, after which there is a norm.
            device: where the encoder runs.
            local_only: see ``model_directory``.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or has no such layer.
        """
        source = pinned(source, local_only=local_only)
        encoder = load_pretrained(source, "Whisper", ("whisper",), local_only=local_only).encoder
        self.is_last = layer == len(encoder.layers)
        keep_layers(encoder, layer, source)
        self.encoder = encoder.eval().requires_grad_(False).to(device)
        self.spectrogram = WhisperFeatureExtractor(feature_size=encoder.num_mel_bins)  # all else is as always
        self.source, self.layer, self.device = source, layer, device
        self.sample_rate, self.frame_rate = SAMPLE_RATE, SAMPLE_RATE / HOP
        settings = {"layer": layer, "is_last": self.is_last, "silence": SILENCE, "overlap": OVERLAP}
        self.fingerprint = model_fingerprint(encoder, settings | ({"padded": True} if self.padded else {}))

    @torch.no_grad()
    def extract(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Features of recordings: ``(S,)`` float32 each, to ``(S // 320, D)`` float32 each."""
        check_long_enough(wavs, HOP)
        longest = self.encoder.max_source_positions - SILENCE
        windows = [cut_windows(len(wav) // HOP, longest, OVERLAP) for wav in wavs]
        pieces = [
            wav[start * HOP : stop * HOP]
            for wav, places in zip(wavs, windows)
            for start, stop, _, _ in places
        ]
        outputs = iter(self._forward(pieces))
        return [
            np.concatenate([next(outputs)[first - start : end - start] for start, _, first, end in places])
            for places in windows
        ]

    def _forward(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        encoder = self.encoder
        frames = [len(wav) // HOP for wav in wavs]
        lengths = [encoder.max_source_positions if self.padded else count + SILENCE for count in frames]
        mels = torch.zeros(len(wavs), encoder.num_mel_bins, 2 * max(lengths))
        for row, (wav, length) in enumerate(zip(wavs, lengths)):
            mels[row, :, : 2 * length] = self._log_mel(wav, length)
        # The encoder's own forward wants 30 s.
        hidden = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mels.to(self.device))))).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        mask = None
        if len(set(lengths)) > 1:
            inside = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]  # (B, T)
            mask = torch.zeros(inside.shape).masked_fill(~inside, -torch.inf)[:, None, None].to(self.device)
        for layer in encoder.layers[: self.layer]:
            hidden = layer(hidden, mask)
        states: Tensor = encoder.layer_norm(hidden) if self.is_last else hidden
        return [states[row, :count].float().cpu().numpy() for row, count in enumerate(frames)]

    def _log_mel(self, wav: np.ndarray, length: int) -> Tensor:
        """Samples ``(S,)`` to ``(bins, 2 * length)``, the silence included."""
        frames = len(wav) // HOP
        padded = np.pad(wav[: frames * HOP], (0, (length - frames + 1) * HOP))
        mels = self.spectrogram(
            padded, sampling_rate=SAMPLE_RATE, padding="do_not_pad", truncation=False, return_tensors="pt"
        )
        return mels["input_features"][0, :, 1 : 2 * length + 1]


class PaddedWhisperFeatures(WhisperFeatures):
    """The same with all the silence of training, up to 30 s.

    On egs/mini (layer 4 of Whisper base, 512 clusters) 93 to 94 % of the tokens are those without, which take
    less than a quarter of the time.
    """

    padded = True


def cut_windows(frames: int, longest: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Start and end of each window over a recording, and of those of its frames that are kept."""
    starts = range(0, max(frames - overlap, 1), longest - overlap)
    stops = [min(start + longest, frames) for start in starts]
    cuts = [0, *(start + overlap // 2 for start in starts[1:]), frames]
    return list(zip(starts, stops, cuts, cuts[1:]))
