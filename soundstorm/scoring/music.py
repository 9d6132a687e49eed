"""Does a continuation of music keep the key and the tempo of its beginning, and does a copy keep the notes?

Of a free continuation no note is right or wrong, so notes are compared only where a system was told what to play
(codec round trip, true semantic tokens). What a continuation can be measured by is what it shares with its prompt; how
much that is for the true continuation and for another piece says what the figures are worth.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soundstorm.scoring.measures import cosine, is_silent

ONSET_TOLERANCE = 0.05  # seconds, MIREX's
CHROMA_WINDOW = 4096  # samples at 16 kHz; a semitone in the middle of the piano
SHORTEST = 64  # samples; of less nothing can be said


class Note(NamedTuple):
    """One note that is heard."""

    onset: float  # seconds
    offset: float  # seconds
    pitch: int  # MIDI number


def mean_chroma(wav: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """How loud each of the twelve pitch classes is in the mean ``(12,)``; None of silence."""
    import librosa

    if len(wav) < SHORTEST or is_silent(wav):
        return None
    n_fft = min(CHROMA_WINDOW, len(wav))
    chroma = librosa.feature.chroma_stft(y=wav, sr=sample_rate, n_fft=n_fft, hop_length=n_fft // 4, tuning=0.0)
    return chroma.mean(axis=1)


def key_consistency(
    prompt: np.ndarray, rest: np.ndarray, sample_rate: int, *, window_seconds: float
) -> list[float | None]:
    """Cosine between the mean chroma of a prompt and of each whole window of what follows; None where one is silent.

    Args:
        prompt: samples ``(S,)``.
        rest: what follows ``(S',)``.
        sample_rate: Hz.
        window_seconds: length of a window; what is left of the last one is not looked at.
    """
    size = max(1, round(window_seconds * sample_rate))
    first = mean_chroma(prompt, sample_rate)
    found: list[float | None] = []
    for start in range(0, len(rest) - size + 1, size):
        chroma = mean_chroma(rest[start : start + size], sample_rate)
        found.append(None if first is None or chroma is None else cosine(first, chroma))
    return found


def tempo(wav: np.ndarray, sample_rate: int) -> float | None:
    """Beats per minute, as onset strength repeats itself; None where nothing begins."""
    import librosa

    if len(wav) < SHORTEST:
        return None
    strength = librosa.onset.onset_strength(y=wav, sr=sample_rate)
    if not len(strength) or strength.max() < 1e-6:
        return None
    with warnings.catch_warnings():  # of a recording shorter than its windows
        warnings.simplefilter("ignore", UserWarning)
        found = float(librosa.feature.tempo(onset_envelope=strength, sr=sample_rate)[0])
    return found if found > 0 else None


def tempo_ratio(prompt: float, rest: float) -> float:
    """How far two tempos are apart: 1, the same, to the root of 2; double and half of a tempo are the same music."""
    octaves = abs(np.log2(rest / prompt)) % 1.0
    return float(2.0 ** min(octaves, 1.0 - octaves))


def onset_f1(reference: Sequence[Note], found: Sequence[Note]) -> float | None:
    """F1 of notes by pitch and onset within 50 ms (mir_eval); None where there is none to be found."""
    from mir_eval.transcription import precision_recall_f1_overlap

    if not reference:
        return None
    if not found:
        return 0.0
    (intervals, pitches), (found_intervals, found_pitches) = map(_arrays, (reference, found))
    _, _, f1, _ = precision_recall_f1_overlap(
        intervals, pitches, found_intervals, found_pitches, onset_tolerance=ONSET_TOLERANCE, offset_ratio=None
    )
    return float(f1)


def _arrays(notes: Sequence[Note]) -> tuple[np.ndarray, np.ndarray]:
    """Times ``(M, 2)`` and frequencies in Hz ``(M,)``."""
    times, pitches = [(note.onset, note.offset) for note in notes], [note.pitch for note in notes]
    return np.array(times), 440.0 * 2.0 ** ((np.array(pitches) - 69) / 12)
