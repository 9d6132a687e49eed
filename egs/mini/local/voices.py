"""The voices of the corpus, and how one of them says a sentence.

A voice is an eSpeak NG variant with its own pitch, rate and length of the vocal tract. Accents of one variant sound
like one person, and so do some variants. The voices below were chosen by experiment: of 366 candidates, those whose
phones a small classifier recognised, and of these the ones farthest apart for a speaker-verification model.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from espeak import ESpeak

SAMPLE_RATE = 16000
PEAK = 0.6
NOISE = 2e-4  # about -74 dB: a recording is never digitally silent
MARGIN = 0.1  # seconds of silence before and after


@dataclass(frozen=True)
class Voice:
    """How one speaker sounds.

    Attributes:
        name: speaker id.
        espeak: voice and variant of eSpeak NG.
        warp: factor on all resonances and on the pitch; above 1 is a shorter vocal tract.
        pitch: 0 to 99, before the warp; 50 is the variant's own.
        rate: words per minute.
    """

    name: str
    espeak: str
    warp: float
    pitch: int
    rate: int


class Speech(NamedTuple):
    """Float32 samples ``(S,)`` at `SAMPLE_RATE` and phones as (start, duration, name), seconds."""

    samples: np.ndarray
    phones: list[tuple[float, float, str]]


def phone_name(mnemonic: str) -> str:
    """The phone without stress and variant; pauses are `sil`, marks without sound are empty."""
    name = mnemonic.lstrip("',%=")
    if name.startswith("_"):
        return "sil"
    name = name.strip(";-|")
    return name[:-1] if len(name) > 1 and name[-1] == "2" else name


def speak(engine: ESpeak, voice: Voice, text: str) -> Speech:
    """Say one sentence; formants are moved by playing a slower, lower original faster."""
    import soxr

    said = engine.say(text, voice.espeak, rate=round(voice.rate / voice.warp), pitch=voice.pitch)
    played_rate = said.sample_rate * voice.warp
    wav = soxr.resample(said.samples.astype(np.float64) / 32768, played_rate, SAMPLE_RATE)
    wav *= PEAK / np.abs(wav).max()

    phones = [(at / played_rate, phone_name(mnemonic)) for at, mnemonic in said.phones]
    return _trim(wav, [(at, name) for at, name in phones if name])


def _trim(wav: np.ndarray, phones: list[tuple[float, str]]) -> Speech:
    loud = np.flatnonzero(np.abs(wav) > 0.01 * PEAK)
    margin = round(MARGIN * SAMPLE_RATE)
    first, last = loud[0] - margin, loud[-1] + 1 + margin
    wav = np.pad(wav, (max(0, -first), max(0, last - len(wav))))[max(first, 0) : max(first, 0) + last - first]

    duration = len(wav) / SAMPLE_RATE
    starts = [(min(max(at - first / SAMPLE_RATE, 0.0), duration), name) for at, name in phones]
    starts = [(0.0, "sil"), *starts, (duration, "sil")]
    spans: list[tuple[float, float, str]] = []
    for (start, name), (end, _) in zip(starts[:-1], starts[1:]):
        if name == "sil" and spans and spans[-1][2] == "sil":
            spans[-1] = (spans[-1][0], end - spans[-1][0], "sil")
        elif end > start:
            spans.append((start, end - start, name))
    return Speech(wav.astype(np.float32), spans)


def join(turns: list[Speech], pauses: list[float]) -> Speech:
    """One recording of several, with a pause in seconds after each but the last."""
    parts: list[np.ndarray] = []
    phones: list[tuple[float, float, str]] = []
    at = 0.0
    for turn, pause in zip(turns, [*pauses, 0.0]):
        silence = np.zeros(round(pause * SAMPLE_RATE), dtype=np.float32)
        parts += [turn.samples, silence]
        phones += [(at + start, duration, name) for start, duration, name in turn.phones]
        at += len(turn.samples) / SAMPLE_RATE
        if len(silence):
            phones.append((at, len(silence) / SAMPLE_RATE, "sil"))
            at += len(silence) / SAMPLE_RATE
    return Speech(np.concatenate(parts), phones)


# The first eight are those of the small preset.
TRAINING_VOICES = (
    Voice("v01", "gmw/en-US+m1", warp=1.0, pitch=60, rate=160),
    Voice("v02", "gmw/en-US+belinda", warp=0.88, pitch=60, rate=170),
    Voice("v03", "gmw/en-US+miguel", warp=1.13, pitch=30, rate=150),
    Voice("v04", "gmw/en-US+Andrea", warp=1.0, pitch=60, rate=165),
    Voice("v05", "gmw/en-US+Tweaky", warp=1.13, pitch=60, rate=175),
    Voice("v06", "gmw/en-US+steph", warp=0.88, pitch=60, rate=155),
    Voice("v07", "gmw/en-US+Mario", warp=0.88, pitch=60, rate=160),
    Voice("v08", "gmw/en-US+f5", warp=0.88, pitch=60, rate=170),
    Voice("v09", "gmw/en-US+victor", warp=1.0, pitch=60, rate=150),
    Voice("v10", "gmw/en-US+anika", warp=1.0, pitch=60, rate=165),
    Voice("v11", "gmw/en-US+Hugo", warp=1.0, pitch=60, rate=175),
    Voice("v12", "gmw/en-US+grandma", warp=1.13, pitch=30, rate=155),
    Voice("v13", "gmw/en-US+sandro", warp=0.88, pitch=30, rate=160),
    Voice("v14", "gmw/en-US+belinda", warp=1.13, pitch=30, rate=170),
    Voice("v15", "gmw/en-US+m8", warp=1.0, pitch=60, rate=150),
    Voice("v16", "gmw/en-US+Annie", warp=1.0, pitch=60, rate=165),
    Voice("v17", "gmw/en-US+miguel", warp=0.88, pitch=30, rate=175),
    Voice("v18", "gmw/en-US+Andrea", warp=0.88, pitch=30, rate=155),
    Voice("v19", "gmw/en-US+robert", warp=1.0, pitch=30, rate=160),
    Voice("v20", "gmw/en-US+iven", warp=1.0, pitch=30, rate=170),
    Voice("v21", "gmw/en-US+victor", warp=1.13, pitch=60, rate=150),
    Voice("v22", "gmw/en-US+iven3", warp=1.13, pitch=60, rate=165),
    Voice("v23", "gmw/en-US+Hugo", warp=0.88, pitch=30, rate=175),
    Voice("v24", "gmw/en-US+Storm", warp=1.0, pitch=60, rate=155),
)
# Variants that no training voice has.
UNSEEN_VOICES = (
    Voice("u01", "gmw/en-US+f2", warp=1.0, pitch=60, rate=160),
    Voice("u02", "gmw/en-US+john", warp=0.88, pitch=30, rate=170),
    Voice("u03", "gmw/en-US+f1", warp=1.0, pitch=30, rate=150),
    Voice("u04", "gmw/en-US+quincy", warp=1.13, pitch=60, rate=165),
    Voice("u05", "gmw/en-US+f3", warp=1.0, pitch=30, rate=175),
    Voice("u06", "gmw/en-US+Mike", warp=1.0, pitch=30, rate=155),
)
