"""Settings of the ABX test. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class AbxConfig(Config, section="abx"):
    """Which comparisons are made; the numbers are those of Libri-light's evaluation."""

    context: str = option(
        "auto", "triphone, none (the centre phone alone), or auto: triphone where there are enough",
        one_of=("auto", "triphone", "none"),
    )
    min_cells: int = option(
        100, "auto: fewest (speaker, context, phone, phone) for which triphones are enough", at_least=1
    )
    max_items: int = option(10, "occurrences of a phone in one context by one speaker that are used", at_least=2)
    max_speakers: int = option(5, "other speakers that a speaker's phone in one context is compared with", at_least=1)
    max_cells: int = option(5000, "cells of each task; of more, so many are drawn", at_least=1)
    silence: tuple[str, ...] = option(("sil",), "phones that are neither compared nor a context")
    seed: int = option(0, "of what is drawn")
