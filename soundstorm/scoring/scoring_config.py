"""Settings of scoring. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class ScoreConfig:
    """What every system is measured by, the same for all of them."""

    prompt_seconds: float = option(3.0, "first part of an utterance that later ones are compared with")
    crop_seconds: float = option(3.0, "crops whose acoustic consistency with the prompt is measured")
    min_voice_seconds: float = option(1.0, "least speech after the prompt for voice preservation")
    max_utterances: int | None = option(None, "score so many utterances, evenly over the ids; none for all")
    quality_utterances: int | None = option(None, "DNSMOS on so many of them, 0 for no DNSMOS, none for all")
    second_utterances: int | None = option(None, "further recognisers read so many of them, none for all")
    text_normalizer: str | None = option(
        None, "english: bring texts to one form by Whisper's English normaliser, none: only case and marks"
    )
    language: str | None = option(
        None, "code of the speech's language (en) for recognisers of many; none: they guess for each utterance"
    )
    num_resamples: int = option(1000, "bootstrap resamples")
    seed: int = option(0, "of the bootstrap")
    bootstrap: str = option(
        "speaker", "what voices' intervals draw: speaker and its utterances, or utterance"
    )

    def __post_init__(self):
        if self.text_normalizer not in (None, "english"):
            raise InputError(f"score.text_normalizer is {self.text_normalizer!r}, expected english or none")
        if self.bootstrap not in ("utterance", "speaker"):
            raise InputError(f"score.bootstrap is {self.bootstrap!r}, expected utterance or speaker")
        for name in ("prompt_seconds", "crop_seconds", "min_voice_seconds", "num_resamples"):
            if getattr(self, name) <= 0:
                raise InputError(f"score.{name} is {getattr(self, name)}, expected more than 0")
        for name in ("max_utterances", "quality_utterances", "second_utterances"):
            value = getattr(self, name)
            if value is not None and value < (1 if name == "max_utterances" else 0):
                raise InputError(f"score.{name} is {value}, expected a positive number or none")
