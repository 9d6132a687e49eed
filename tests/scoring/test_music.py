"""Key, tempo and notes of continuations, on tones whose answers are known."""

import numpy as np
import pytest

from soundstorm.scoring.music import Note, key_consistency, mean_chroma, onset_f1, tempo, tempo_ratio

RATE = 16000


def tones(pitches, seconds=0.25, total=4.0):
    """Struck notes one after the other, round and round, with overtones that die away."""
    parts, time = [], np.arange(int(seconds * RATE)) / RATE
    for place in range(round(total / seconds)):
        frequency = 440 * 2 ** ((pitches[place % len(pitches)] - 69) / 12)
        wav = sum(np.sin(2 * np.pi * frequency * k * time) / k**2 for k in (1, 2, 3))
        parts.append(wav * np.exp(-8 * time))
    return 0.2 * np.concatenate(parts).astype(np.float32)


C_MAJOR, F_SHARP = (60, 64, 67, 72), (66, 70, 73, 78)


def test_the_chroma_of_a_chord_is_loudest_at_its_notes():
    chroma = mean_chroma(tones(C_MAJOR), RATE)
    assert chroma.shape == (12,)
    assert set(np.argsort(chroma)[-3:]) == {0, 4, 7}
    assert mean_chroma(np.zeros(RATE, np.float32), RATE) is None


def test_the_same_key_is_consistent_another_is_not_and_silence_has_none():
    rest = np.concatenate([tones(C_MAJOR), tones(F_SHARP), np.zeros(4 * RATE, np.float32), tones(C_MAJOR, total=3.0)])
    same, other, silent = key_consistency(tones(C_MAJOR), rest, RATE, window_seconds=4.0)
    assert same > 0.99 and other < 0.6 and silent is None


def test_double_and_half_of_a_tempo_are_the_same():
    assert tempo_ratio(60.0, 60.0) == tempo_ratio(60.0, 120.0) == tempo_ratio(120.0, 30.0) == 1.0
    assert tempo_ratio(100.0, 150.0) == pytest.approx(4 / 3)
    assert tempo_ratio(100.0, 150.0) == pytest.approx(tempo_ratio(150.0, 100.0))
    assert tempo_ratio(1.0, 2**0.5) == pytest.approx(2**0.5)


def test_tempo_is_that_of_the_onsets():
    assert tempo(tones(C_MAJOR, seconds=0.5, total=12.0), RATE) == pytest.approx(120.0, rel=0.05)
    assert tempo(np.zeros(4 * RATE, np.float32), RATE) is None


def test_notes_count_by_pitch_and_onset():
    pytest.importorskip("mir_eval", reason="pip install -e '.[piano]'")
    true = [Note(0.0, 1.0, 60), Note(0.5, 1.0, 64), Note(1.0, 2.0, 67)]
    assert onset_f1(true, true) == 1.0
    shifted = [Note(0.04, 9.0, 60), Note(0.5, 0.6, 65), Note(1.2, 2.0, 67)]  # one right, a wrong pitch, a late onset
    assert onset_f1(true, shifted) == pytest.approx(1 / 3)
    assert onset_f1(true, []) == 0.0 and onset_f1([], true) is None


def test_basic_pitch_hears_the_notes_that_are_played():
    pytest.importorskip("basic_pitch", reason="pip install --no-deps basic-pitch==0.4.0")
    from soundstorm.scoring.transcription import Transcriber, has_transcriber

    assert has_transcriber()
    notes = Transcriber()(tones(C_MAJOR, seconds=0.5), RATE)
    reference = [Note(0.5 * place, 0.5 * place + 0.4, C_MAJOR[place % 4]) for place in range(8)]
    assert notes == sorted(notes) and onset_f1(reference, notes) > 0.7
