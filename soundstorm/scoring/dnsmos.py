"""DNSMOS (P.835 and P.808) by the networks in the speechmos package, with nothing computed twice.

The networks hear windows of 9 s, one a second, of a recording that is repeated until it is long enough. Nearly all of
the work is P.835's four convolutions before anything is pooled. Together they see four frames to either side: windows
share all but their edges, and where a recording is whole frames long, as decoded ones are, its repetitions are alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

RATE, HOP = 16000, 160  # Hz, samples
SECONDS = 9.01  # of a window
FRAMES, STEP = 900, 100  # of a window, between windows
EDGE = 4  # frames that hear the end of a window
PIECE = 128  # frames convolved at a time: memory
FFT = 321  # samples of a spectrum of P.808


class DnsmosNetworks:
    """Samples in, scores out, `speechmos.dnsmos.run`'s but for rounding."""

    def __init__(self):
        """
        Raises:
            ImportError: speechmos, onnx or librosa is missing.
        """
        import librosa
        from speechmos import dnsmos

        folder = Path(dnsmos.__file__).parent / "dnsmos_models"
        self._p835 = _Layers(folder / "sig_bak_ovr.onnx", "mos_estimator_logpow/")
        self._p808 = _Layers(folder / "model_v8.onnx", "mos_estimator_small_1/")
        self._mels = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=FFT, n_mels=120)).T
        self._calibrated = dnsmos.DNSMOS.get_polyfit_val

    @torch.inference_mode()
    def __call__(self, wav: np.ndarray) -> dict[str, float]:
        """Scores `ovrl_mos`, `sig_mos`, `bak_mos` and `p808_mos` of samples ``(S,)``, from -1 to 1, at 16 kHz."""
        repeated = torch.from_numpy(wav.astype(np.float32))
        while len(repeated) < int(SECONDS * RATE):
            repeated = torch.cat([repeated, repeated])
        windows = [torch.arange(STEP * i, STEP * i + FRAMES) for i in _windows(len(repeated))]
        frames = int(windows[-1][-1]) + 1
        distinct = frames if len(wav) % HOP else min(frames, len(wav) // HOP)
        p835 = self._p835_scores(repeated, distinct, windows)
        p808 = self._p808_scores(repeated, distinct, windows)
        scores = self._calibrated(None, *p835.double().T.numpy(), False)
        names = ("sig_mos", "bak_mos", "ovrl_mos")
        means = {name: float(values.mean()) for name, values in zip(names, scores, strict=True)}
        return means | {"p808_mos": float(p808.mean())}

    def _p835_scores(self, repeated: Tensor, distinct: int, windows: list[Tensor]) -> Tensor:
        """Signal, background and overall quality of each window ``(W, 3)``, uncalibrated.

        Args:
            repeated: samples.
            distinct: frames after which they repeat.
            windows: frames of each.
        """
        net = self._p835
        spectra = net.log_power(repeated.unfold(0, 2 * HOP, HOP)[:distinct])
        inner = self._inner(spectra)
        if distinct % 2:  # pairs are pooled, and windows begin at even frames
            inner = torch.cat([inner, inner])
        inner = _pairs(inner[None])[0]
        ends = [spectra[part % distinct] for window in windows for part in (window[: 2 * EDGE], window[-2 * EDGE :])]
        ends = _pairs(_frames_first(net.unpooled(torch.stack(ends)[:, None])))
        found = []
        for start, end, window in zip(ends[::2], ends[1::2], windows):
            x = inner[window[::2] // 2 % len(inner)]
            x[: EDGE // 2], x[-EDGE // 2 :] = start[: EDGE // 2], end[-EDGE // 2 :]
            x = net.conv(x.permute(2, 0, 1)[None], 4)
            for layer in (5, 6):
                x = net.conv(F.max_pool2d(x, 2), layer)
            found.append(x.amax((2, 3)))
        return net.dense(torch.cat(found), "dense", "dense_1", "dense_3")

    def _inner(self, spectra: Tensor) -> Tensor:
        """The convolutions before pooling, of frames amid a window: ``(D, bins)`` to ``(D, bins, channels)``."""
        around = spectra[torch.arange(-EDGE, len(spectra) + EDGE) % len(spectra)]
        starts = range(0, len(spectra), PIECE)
        pieces = [self._p835.unpooled(around[None, None, start : start + PIECE + 2 * EDGE]) for start in starts]
        return torch.cat([_frames_first(piece)[0, EDGE:-EDGE] for piece in pieces])

    def _p808_scores(self, repeated: Tensor, distinct: int, windows: list[Tensor]) -> Tensor:
        """P.808's quality of each window ``(W, 1)``; arguments are those of `_p835_scores`."""
        net = self._p808
        # Frames are centred; that before the first sample is the last one of a repetition.
        centred = torch.cat([repeated[-HOP:], repeated]).unfold(0, FFT, HOP)[:distinct]
        power = self._mel_power(centred)
        found = []
        for window in windows:
            place = window % distinct
            ends = centred[place[[0, -1]]]
            ends[0, :HOP], ends[1, -1] = 0.0, 0.0  # beyond the window
            mels = power[place]
            mels[[0, -1]] = self._mel_power(ends)
            decibels = 10 * mels.clamp(min=1e-10).log10()
            decibels = (decibels - decibels.max()).clamp(min=-80)
            x = net.conv((decibels[None, None] + 40) / 40, 5)
            x = net.conv(F.max_pool2d(x, 2), 6)
            x = net.conv(net.conv(F.max_pool2d(x, 2), 7), 8)
            x = net.conv(F.max_pool2d(x, 2), 9)
            found.append(x.amax((2, 3)))
        return net.dense(torch.cat(found), "dense_3", "dense_4", "dense_5")

    def _mel_power(self, frames: Tensor) -> Tensor:
        return torch.fft.rfft(frames * torch.hann_window(FFT)).abs().square() @ self._mels


class _Layers:
    """A network's weights, by the names of its layers, and what is done with them."""

    def __init__(self, path: Path, prefix: str):
        import onnx

        self._weights = {}
        for constant in onnx.load(path).graph.initializer:
            name = constant.name.removeprefix(prefix).removesuffix(":0").removesuffix("/ReadVariableOp/resource")
            self._weights[name] = torch.tensor(onnx.numpy_helper.to_array(constant))
        for name, weight in self._weights.items():
            if weight.dim() == 4:
                self._weights[name] = weight.contiguous(memory_format=torch.channels_last)

    def log_power(self, frames: Tensor) -> Tensor:
        """Logarithms of the power of spectra ``(T, 161)`` of samples ``(T, 320)``."""
        kernels = [self._weights[f"time2freq/stft-{part}/kernel"][:, :, 0] for part in ("real", "imag")]
        magnitude = sum((frames @ kernel.T).square() for kernel in kernels).sqrt()
        power = magnitude.pow(self._weights["pow/y"]).maximum(self._weights["Maximum/x"])
        return power.log() / self._weights["truediv/y"]

    def conv(self, x: Tensor, layer: int) -> Tensor:
        """A convolution of 3 x 3 and its activation: ``(B, C, T, bins)``."""
        name = f"conv2d_{layer}" if layer else "conv2d"
        return F.relu_(F.conv2d(x, self._weights[f"{name}/kernel"], self._weights[f"{name}/bias"], padding=1))

    def unpooled(self, x: Tensor) -> Tensor:
        """The four convolutions of P.835 before the first pooling."""
        for layer in range(4):
            x = self.conv(x, layer)
        return x

    def dense(self, x: Tensor, *names: str) -> Tensor:
        """Linear layers with an activation between each two."""
        for name in names:
            x = F.relu(x) if name != names[0] else x
            x = x @ self._weights[f"{name}/MatMul"] + self._weights[f"{name}/BiasAdd"]
        return x


def _windows(samples: int) -> list[int]:
    """The windows that speechmos hears: of some the end, in floating-point numbers, comes out a sample early."""
    count = int(samples // RATE - SECONDS) + 1
    return [i for i in range(count) if int((i + SECONDS) * RATE) - i * RATE == int(SECONDS * RATE)]


def _frames_first(x: Tensor) -> Tensor:
    """``(B, C, T, bins)`` to ``(B, T, bins, C)``, as it lies in memory."""
    return x.permute(0, 2, 3, 1)


def _pairs(x: Tensor) -> Tensor:
    """The larger of each two by two frames and bins: ``(B, T, bins, C)``."""
    return _frames_first(F.max_pool2d(x.permute(0, 3, 1, 2), 2))
