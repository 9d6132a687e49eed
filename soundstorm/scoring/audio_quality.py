"""How good the sound is: DNSMOS for every system; distance to the original where it is the same utterance."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np

from soundstorm.data.audio import resample
from soundstorm.data.errors import InputError
from soundstorm.data.mel import mel_filters, mel_frequencies
from soundstorm.scoring.measures import Measured, Pair, is_silent

STOI_SECONDS = 0.4  # 30 frames of 256 samples, 128 apart, at 10 kHz


class Dnsmos:
    """Microsoft's DNSMOS (P.835 and P.808) from the speechmos package.

    It runs at some fifteen times real time, so that a recipe on two cores scores a subset. It bounds the damage
    a codec does; it does not tell synthetic voices from human ones, and its scale is not the paper's.
    """

    sample_rate = 16000
    least_seconds = 0.25  # shorter ones would be repeated to 9 s, which is no speech any more
    _NAMES = {
        "ovrl_mos": "dnsmos",
        "sig_mos": "dnsmos_signal",
        "bak_mos": "dnsmos_background",
        "p808_mos": "dnsmos_p808",
    }

    def __init__(self):
        from soundstorm.scoring.dnsmos import DnsmosNetworks

        try:
            self._networks = DnsmosNetworks()
        except ImportError as error:
            raise InputError(
                f"DNSMOS cannot be imported ({error}); run: pip install speechmos onnx onnxruntime "
                f"librosa pandas, or set score.quality_utterances to 0"
            ) from error

    def __call__(self, pair: Pair) -> Measured:
        """Score the decoded recording; undefined where it is silent or very short."""
        if pair.sample_rate != self.sample_rate:
            raise InputError(
                f"DNSMOS reads {self.sample_rate} Hz, but {pair.utt_id} has {pair.sample_rate} Hz"
            )
        if is_silent(pair.decoded):
            return Measured(undefined=dict.fromkeys(self._NAMES.values(), "silent"))
        if len(pair.decoded) < self.least_seconds * pair.sample_rate:
            reason = f"shorter than {self.least_seconds} s"
            return Measured(undefined=dict.fromkeys(self._NAMES.values(), reason))
        scores = self._scores(pair.decoded)
        return Measured({name: (float(scores[theirs]), 1.0) for theirs, name in self._NAMES.items()})

    def overall(self, wav: np.ndarray, sample_rate: int) -> float:
        """P.835's overall quality of samples ``(S,)`` at any rate, to choose among recordings."""
        return float(self._scores(resample(wav, sample_rate, self.sample_rate))["ovrl_mos"])

    def _scores(self, wav: np.ndarray) -> dict[str, float]:
        return self._networks(wav / max(1.0, float(np.abs(wav).max())))


class CodecQuality:
    """Mel distance, SI-SDR and STOI between an utterance and itself after the codec."""

    tolerance = 0.1  # seconds that the two may differ in length

    def __call__(self, pair: Pair) -> Measured:
        """Compare sample by sample; the longer one is cut."""
        difference = abs(len(pair.original) - len(pair.decoded)) / pair.sample_rate
        if difference > self.tolerance:
            raise InputError(
                f"{pair.utt_id}: the codec's output is {difference:.2f} s longer or shorter than the "
                f"original, at most {self.tolerance} s is expected; was it decoded from other tokens?"
            )
        size = min(len(pair.original), len(pair.decoded))
        original, decoded = pair.original[:size], pair.decoded[:size]
        rate = pair.sample_rate
        names = ("mel_distance", "si_sdr", "stoi")
        if is_silent(original):
            return Measured(undefined=dict.fromkeys(names, "the original is silent"))
        measured = Measured({"mel_distance": (mel_distance(original, decoded, sample_rate=rate), 1.0)})
        if is_silent(decoded):
            measured.undefined = dict.fromkeys(names[1:], "the output of the codec is silent")
            return measured
        measured.values["si_sdr"] = (si_sdr(original, decoded), 1.0)
        intelligibility = stoi(original, decoded, sample_rate=rate)
        if intelligibility is None:
            measured.undefined["stoi"] = f"less than {STOI_SECONDS} s of speech"
        else:
            measured.values["stoi"] = (intelligibility, 1.0)
        return measured


def mel_distance(reference: np.ndarray, estimate: np.ndarray, *, sample_rate: int) -> float:
    """Mean absolute difference of log10 mel magnitudes (window 1024, hop 256); 0 for equal recordings."""
    bank = _mel_bank(sample_rate)

    def log_mel(wav: np.ndarray) -> np.ndarray:
        padded = np.pad(wav.astype(np.float64), 512, mode="reflect") if len(wav) > 512 else np.pad(wav, 512)
        frames = np.lib.stride_tricks.sliding_window_view(padded, 1024)[::256]
        magnitude = np.abs(np.fft.rfft(frames * np.hanning(1024), axis=-1))  # (frames, 513)
        return np.log10(np.maximum(magnitude @ bank.T, 1e-5))

    return float(np.mean(np.abs(log_mel(reference) - log_mel(estimate))))


@lru_cache
def _mel_bank(sample_rate: int) -> np.ndarray:
    """Triangles of unit area on the mel scale, (80, 513)."""
    edges = mel_frequencies(0, sample_rate / 2, 82)
    filters = np.ascontiguousarray(mel_filters(sample_rate, 1024, 80).T)
    return filters * 2.0 / (edges[2:] - edges[:-2])[:, None]


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019), limited to +-100."""
    reference = reference.astype(np.float64) - reference.mean()
    estimate = estimate.astype(np.float64) - estimate.mean()
    energy = np.dot(reference, reference)
    if energy == 0.0:
        raise InputError(
            "SI-SDR of a silent reference is not defined; remove silent utterances from the test set"
        )
    target = reference * (np.dot(estimate, reference) / energy)
    ratio = np.dot(target, target) / max(np.dot(estimate - target, estimate - target), 1e-300)
    return float(np.clip(10.0 * np.log10(max(ratio, 1e-300)), -100.0, 100.0))


def stoi(reference: np.ndarray, estimate: np.ndarray, *, sample_rate: int) -> float | None:
    """Short-time objective intelligibility, by pystoi; None of less than `STOI_SECONDS` without pauses."""
    try:
        import pystoi
    except ImportError as error:
        raise InputError("STOI needs the pystoi package; run: pip install pystoi") from error
    if len(reference) < STOI_SECONDS * sample_rate:
        return None
    with warnings.catch_warnings():
        # pystoi warns and gives 1e-5 where too few frames are left without pauses.
        warnings.filterwarnings("error", message="Not enough STFT frames")
        try:
            return float(pystoi.stoi(reference, estimate, sample_rate))
        except RuntimeWarning:
            return None
