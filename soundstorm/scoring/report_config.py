"""Settings of the report. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class ReportConfig(Config, section="report"):
    """What is shown beside the scores."""

    title: str = option("Results", "heading of RESULTS.md and of the listening page")
    examples: int = option(6, "utterances on the listening page, evenly over the ids", at_least=0)
    embed: bool = option(False, "put the audio inside the page, so that it is one file to send around")
    targets: tuple[str, ...] = option(
            (), "figures to reach: '<metric> of <system> <= <number>', 'seconds of all stages <= 900', "
            "'usage of every codebook >= 80', 'voice gain of <prompted system> > 0'"
        )  # fmt: skip
    compared_with: tuple[str, ...] = option(
            (), "systems that the others of their source are compared with, e.g. SoundStorm,SoundStorm from text: a "
            "table of all systems side by side, with what they took, comes first"
        )  # fmt: skip
