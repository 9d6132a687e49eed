"""RESULTS_options.md: options of decoding beside the paper's way, on the same utterances.

Reads the score files that stage 7 wrote for each variant and seed: `<scores><variant>_<seed>/<set>/<system>.json`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from soundstorm.data.data_dir import write_text
from soundstorm.scoring.report_content import run_facts
from soundstorm.scoring.score_file import read_score
from soundstorm.scoring.statistics import Estimate, bootstrap
from soundstorm.scoring.tables import table

SETS, SEEDS = ("test", "test_unseen"), (0, 1)
PLAIN, PROMPTED = "soundstorm", "soundstorm_prompted"
Measured = dict[str, tuple[float, float]]  # utterance to the sums of a ratio's two sides


class Variant:
    """What was scored of one variant: all sets and samples together."""

    def __init__(self, scores: str, name: str):
        self.name = name
        self.errors: dict[str, Measured] = {}
        self.passes: dict[str, float] = {}
        for system in (PLAIN, PROMPTED):
            files = [read_score(Path(f"{scores}{name}_{seed}") / part / f"{system}.json")
                     for seed in SEEDS for part in SETS]  # fmt: skip
            self.errors[system] = _words(files)
            utterances = sum(len(file["utterances"]) for file in files)
            self.passes[system] = sum(file["decode"]["passes"] * len(file["utterances"]) for file in files) / utterances
            if system == PROMPTED:
                self.voice = _voices(files)


def _words(files: list[dict]) -> Measured:
    """Word errors and words of each utterance, all its samples together."""
    found: Measured = defaultdict(lambda: (0.0, 0.0))
    for file in files:
        for utt, row in file["utterances"].items():
            words, (errors, total) = len(row["text"].split()), found[utt]
            found[utt] = errors + row["wer"] * words, total + words
    return dict(found)


def _voices(files: list[dict]) -> Measured:
    found: Measured = defaultdict(lambda: (0.0, 0.0))
    for file in files:
        for utt, row in file["utterances"].items():
            if "voice_preservation" in row:
                similarity, samples = found[utt]
                found[utt] = similarity + row["voice_preservation"], samples + 1
    return dict(found)


def estimate(values: Measured) -> Estimate:
    """The ratio of the sums."""
    return bootstrap([top for top, _ in values.values()], [bottom for _, bottom in values.values()])


def difference(values: Measured, base: Measured) -> Estimate:
    """How much larger the ratio is than the base's, with an interval over utterances, each compared with itself."""
    if values.keys() != base.keys():
        raise ValueError("variants were scored on different utterances; remove their score files and run again")
    pairs = [(values[utt], base[utt]) for utt in base]
    return bootstrap([mine[0] - other[0] for mine, other in pairs], [other[1] for _, other in pairs])


def render(variants: list[Variant]) -> str:
    """The table in Markdown."""
    base, rows = variants[0], []
    against = f"against {base.name}"
    header = ["", "WER %", against, "WER %, prompted", against, "Voice, prompted", against, "Passes"]
    for variant in variants:
        cells = [f"`{variant.name}`"]
        measures = [(v.errors[PLAIN], v.errors[PROMPTED], v.voice) for v in (variant, base)]
        for mine, other, decimals in zip(*measures, (1, 1, 3)):
            gap = difference(mine, other)
            shown = f"{gap.value:+.{decimals}f} [{gap.low:+.{decimals}f}, {gap.high:+.{decimals}f}]"
            cells += [f"{estimate(mine).value:.{decimals}f}", "" if variant is base else shown]
        rows.append([*cells, " / ".join(f"{variant.passes[system]:.3g}" for system in (PLAIN, PROMPTED))])
    return table(header, rows)


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, help="score directories up to the variant's name")
    parser.add_argument("--variants", required=True, nargs="+", help="the first is what the others are compared with")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    variants = [Variant(args.scores, name) for name in args.variants]
    facts = "\n".join(f"- {name}: {value}" for name, value in run_facts("./run_options.sh").items())
    count = len(variants[0].errors[PLAIN])
    text = f"""# Options of decoding

{facts}

SoundStorm on the true semantic tokens of {count} utterances (known and unseen voices), {len(SEEDS)} samples of each;
with and without a prompt of 3 s. Differences with 95 % intervals over utterances, each against itself. Passes: forward
passes of SoundStorm of the mean utterance, without and with prompt, in batches; nearly all of the computing is theirs.

{render(variants)}"""
    write_text(args.output, text)


if __name__ == "__main__":
    main()
