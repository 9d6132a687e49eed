"""Made-up piano music, as MIDI files: where there is no other, so that the recipe can be tried anywhere.

Each work has a key, a tempo, a progression of four chords that goes round, a broken or struck accompaniment, and a
melody that walks on the scale and comes to the chord's notes on the beat. Small music, but a listener (and a measure)
hears at once whether a continuation keeps key and tempo.
"""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np

TICKS = 480  # a beat
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (5, 3, 0, 4), (0, 3, 1, 4))  # degrees, from 0
PATTERNS = {  # notes of the chord that each half of a beat has
    "alberti": ((0,), (2,), (1,), (2,)),
    "arpeggio": ((0,), (1,), (2,), (3,)),
    "struck": ((0, 1, 2), (), (0, 1, 2), ()),
    "waltz": ((0,), (1, 2), (1, 2), ()),
}
RHYTHMS = ((4,), (2, 2), (2, 1, 1), (3, 1), (1, 1, 1, 1))  # halves of a beat, of two beats
Note = tuple[float, float, int, int]  # beat it begins at, beats, pitch, velocity


def compose(seconds: float, rng: np.random.Generator) -> mido.MidiFile:
    """A work of that length."""
    tempo, tonic = float(rng.uniform(66, 138)), int(rng.integers(12))
    scale = SCALES[str(rng.choice(list(SCALES)))]
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    pattern = PATTERNS[str(rng.choice(list(PATTERNS)))]
    beats = int(seconds * tempo / 60) // 2 * 2
    place, notes = int(rng.integers(7, 14)), []

    def pitch(degree: int, octave: int) -> int:
        return 12 * (octave + degree // 7) + tonic + scale[degree % 7]

    for beat in range(0, beats, 2):  # a chord for every two beats
        root = progression[beat // 2 % 4]
        for half in range(4):
            for step in pattern[half]:
                notes.append((beat + half / 2, 0.5, pitch(root + 2 * step, 4), int(rng.integers(44, 60))))
        at = float(beat)
        for length in RHYTHMS[rng.integers(len(RHYTHMS))]:
            place = int(np.clip(place + rng.integers(-2, 3), 4, 16))
            if at == beat and (place - root) % 7 not in (0, 2, 4):
                place += 1 if (place + 1 - root) % 7 in (0, 2, 4) else -1
            notes.append((at, length / 2 * 0.95, pitch(place, 5), int(rng.integers(66, 92))))
            at += length / 2
    return to_midi([(at + rng.normal(0, 0.008), *rest) for at, *rest in notes], tempo)


def to_midi(notes: list[Note], tempo: float) -> mido.MidiFile:
    """Notes as a file of one track."""
    events = []
    for at, length, pitch, velocity in notes:
        start = max(0, round(at * TICKS))
        events.append((start, 1, mido.Message("note_on", note=pitch, velocity=velocity)))
        events.append((start + max(1, round(length * TICKS)), 0, mido.Message("note_off", note=pitch)))
    track, now = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))]), 0
    for at, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=at - now))
        now = at
    return mido.MidiFile(ticks_per_beat=TICKS, tracks=[track])


def write_works(folder: Path, number: int, seconds: float, seed: int) -> Path:
    """So many works into a folder of this number, length and seed; what is there already is kept."""
    folder = folder / f"composed_{number}_{seconds:g}s_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        path = folder / f"made_up_{index:04d}.mid"
        if not path.exists():
            compose(seconds, np.random.default_rng([seed, index])).save(path)
    return folder
