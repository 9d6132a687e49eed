"""What was said: samples with what made them, and files that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from soundstorm.data.audio import encode_audio
from soundstorm.data.data_dir import write_bytes
from soundstorm.data.errors import InputError

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}


@dataclass(frozen=True)
class Speech:
    """What was made."""

    samples: np.ndarray  # float32 (S,)
    sample_rate: int  # Hz
    text: str | None  # as it was read, a line for each segment, with a note where one was cut; None of converted speech
    model: str
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict)  # that each part of the work took

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path) -> None:
        """Write :meth:`encoded`, whole or not at all."""
        content = self.encoded(path)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)

    def encoded(self, name: str | Path) -> bytes:
        """As a WAV, FLAC or Ogg file of this name, with a comment that says that it is synthetic.

        Raises:
            ValueError: a name with another ending.
        """
        ending = Path(name).suffix
        if ending.lower() not in FORMATS:
            raise InputError(f"{name}: ends in {ending!r}, expected one of {', '.join(FORMATS)}")
        comment = f"Synthetic speech, made by a machine: {self.model}, seed {self.seed} (SoundStorm)"
        return encode_audio(self.samples, self.sample_rate, kind=FORMATS[ending.lower()], comment=comment)
