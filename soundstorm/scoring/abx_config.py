"""Settings of the ABX test. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class AbxConfig:
    """Which comparisons are made; the numbers are those of Libri-light's evaluation."""

    context: str = option(
        "auto", "triphone, none (the centre phone alone), or auto: triphone where there are enough"
    )
    min_cells: int = option(
        100, "auto: fewest (speaker, context, phone, phone) for which triphones are enough"
    )
    max_items: int = option(10, "occurrences of a phone in one context by one speaker that are used")
    max_speakers: int = option(5, "other speakers that a speaker's phone in one context is compared with")
    max_cells: int = option(5000, "cells of each task; of more, so many are drawn")
    silence: tuple[str, ...] = option(("sil",), "phones that are neither compared nor a context")
    seed: int = option(0, "of what is drawn")

    def __post_init__(self):
        if self.context not in ("auto", "triphone", "none"):
            raise InputError(f"abx.context is {self.context!r}, expected auto, triphone or none")
        for name, least in (("min_cells", 1), ("max_items", 2), ("max_speakers", 1), ("max_cells", 1)):
            if getattr(self, name) < least:
                raise InputError(f"abx.{name} is {getattr(self, name)}, expected at least {least}")
