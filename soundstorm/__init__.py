"""Open, reproducible SoundStorm: semantic tokens to speech by parallel decoding over RVQ levels."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soundstorm.decoding.speech_generator import SpeechGenerator as SpeechGenerator

__version__ = "0.1.0"


def __getattr__(name: str):
    """``soundstorm.SpeechGenerator``, imported when it is asked for: commands that need no torch start fast."""
    if name == "SpeechGenerator":
        from soundstorm.decoding.speech_generator import SpeechGenerator

        return SpeechGenerator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
