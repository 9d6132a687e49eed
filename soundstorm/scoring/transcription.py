"""Notes of a recording, by basic-pitch (Bittner et al., 2022), whose weights are in its package."""

from __future__ import annotations

import contextlib
import io
import logging
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from soundstorm.data.audio import write_audio
from soundstorm.scoring.music import Note

INSTALL = "pip install -e '.[piano]' && pip install --no-deps basic-pitch==0.4.0"
# Its own defaults: activations of an onset and of a note, and the shortest note in frames (128 ms).
ONSET, FRAME, SHORTEST = 0.5, 0.3, 11


def has_transcriber() -> bool:
    """Whether what :class:`Transcriber` and the comparison of notes need is installed."""
    return all(find_spec(name) for name in ("basic_pitch", "onnxruntime", "mir_eval", "pretty_midi", "resampy"))


class Transcriber:
    """Samples in, notes out."""

    name = "basic-pitch 0.4.0"

    def __init__(self):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            level, root = logging.getLogger().level, logging.getLogger()
            root.setLevel(logging.ERROR)  # it warns of every runtime that is not there
            try:
                from basic_pitch import FilenameSuffix, build_icassp_2022_model_path
                from basic_pitch.inference import Model
            finally:
                root.setLevel(level)
        self._model = Model(build_icassp_2022_model_path(FilenameSuffix.onnx))

    def __call__(self, wav: np.ndarray, sample_rate: int) -> list[Note]:
        """Notes of samples ``(S,)``, by onset."""
        from basic_pitch.inference import run_inference
        from basic_pitch.note_creation import model_output_to_notes

        with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            path = Path(folder, "heard.wav")  # it reads files only
            write_audio(path, wav, sample_rate)
            output = run_inference(path, self._model)
            _, events = model_output_to_notes(
                output, ONSET, FRAME, min_note_len=SHORTEST, include_pitch_bends=False
            )
        return sorted(Note(float(start), float(end), int(pitch)) for start, end, pitch, *_ in events)
