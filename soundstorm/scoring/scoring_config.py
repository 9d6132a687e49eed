"""Settings of scoring. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class ScoreConfig(Config, section="score"):
    """What every system is measured by, the same for all of them."""

    prompt_seconds: float = option(3.0, "first part of an utterance that later ones are compared with", more_than=0)
    crop_seconds: float = option(3.0, "crops whose acoustic consistency with the prompt is measured", more_than=0)
    min_voice_seconds: float = option(1.0, "least speech after the prompt for voice preservation", more_than=0)
    max_utterances: int | None = option(None, "score so many utterances, evenly over the ids; none for all", at_least=1)
    quality_utterances: int | None = option(
        None, "DNSMOS on so many of them, 0 for no DNSMOS, none for all", at_least=0
    )
    second_utterances: int | None = option(None, "further recognisers read so many of them, none for all", at_least=0)
    text_normalizer: str | None = option(
        None, "english: bring texts to one form by Whisper's English normaliser, none: only case and marks",
        one_of=("english",),
    )
    language: str | None = option(
        None, "code of the speech's language (en) for recognisers of many; none: they guess for each utterance"
    )
    num_resamples: int = option(1000, "bootstrap resamples", at_least=1)
    seed: int = option(0, "of the bootstrap")
    bootstrap: str = option(
        "speaker", "what intervals draw: speaker and its utterances, or utterance", one_of=("speaker", "utterance")
    )
