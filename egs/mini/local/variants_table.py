"""RESULTS_options.md, RESULTS_ablations.md: variants of decoding or training beside the paper's way.

All on the same utterances, each compared with itself.

Reads the score files that stage 7 wrote for each variant and seed.
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

PLAIN, PROMPTED = "soundstorm", "soundstorm_prompted"
Measured = dict[str, tuple[float, float]]  # utterance to the sums of a ratio's two sides


class Variant:
    """What was scored of one variant: all sets and samples together; word errors of each seed beside them."""

    def __init__(self, name: str, scores: str, seeds: list[int], sets: list[str]):
        self.name = name
        self.of_seeds: dict[str, list[float]] = {}
        self.errors: dict[str, Measured] = {}
        self.passes: dict[str, float] = {}
        for system in (PLAIN, PROMPTED):
            folders = [Path(scores.replace("{seed}", str(seed))) for seed in seeds]
            by_seed = [[read_score(folder / part / f"{system}.json") for part in sets] for folder in folders]
            files = [file for of_seed in by_seed for file in of_seed]
            self.errors[system] = _words(files)
            self.of_seeds[system] = [estimate(_words(of_seed)).value for of_seed in by_seed]
            self.recognizers = {file["settings"]["recognizers"][0] for file in files}
            utterances = sum(len(file["utterances"]) for file in files)
            passes = sum(file["decode"]["passes"] * len(file["utterances"]) for file in files)
            self.passes[system] = passes / utterances
            if system == PROMPTED:
                self.voice = _voices(files)
                rows = [item for file in files for item in file["utterances"].items()]
                self.speakers = {utt: row.get("speaker") for utt, row in rows}


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


def difference(values: Measured, base: Measured, speakers: dict[str, str] | None = None) -> Estimate:
    """How much larger the ratio is than the base's, with an interval over utterances, each compared with itself.

    With their speakers, these are drawn first.
    """
    if values.keys() != base.keys():
        raise ValueError("variants were scored on different utterances; remove their score files and run again")
    pairs = [(values[utt], base[utt]) for utt in base]
    gaps, weights = [mine[0] - other[0] for mine, other in pairs], [other[1] for _, other in pairs]
    return bootstrap(gaps, weights, speakers=None if speakers is None else [speakers[utt] for utt in base])


def render(variants: list[Variant]) -> str:
    """The table in Markdown."""
    base, rows = variants[0], []
    against = f"against {base.name}"
    header = ["", "WER %", against, "WER %, prompted", against, "Voice, prompted", against, "Passes"]
    for variant in variants:
        cells = [f"`{variant.name}`"]
        measures = [(v.errors[PLAIN], v.errors[PROMPTED], v.voice) for v in (variant, base)]
        for mine, other, decimals, drawn in zip(*measures, (1, 1, 3), (None, None, variant.speakers)):
            gap = difference(mine, other, drawn)
            shown = f"{gap.value:+.{decimals}f} [{gap.low:+.{decimals}f}, {gap.high:+.{decimals}f}]"
            cells += [f"{estimate(mine).value:.{decimals}f}", "" if variant is base else shown]
        rows.append([*cells, " / ".join(f"{variant.passes[system]:.3g}" for system in (PLAIN, PROMPTED))])
    return table(header, rows)


def render_seeds(variants: list[Variant], seeds: list[int]) -> str:
    """Word errors of each seed, without and with a prompt: what another training or sample alone changes."""
    rows = []
    for variant in variants:
        pairs = zip(variant.of_seeds[PLAIN], variant.of_seeds[PROMPTED])
        rows.append([f"`{variant.name}`", *(f"{plain:.1f} / {prompted:.1f}" for plain, prompted in pairs)])
    return table(["WER %, without / with prompt", *(f"seed {seed}" for seed in seeds)], rows)


def one_ear(variants: list[Variant]) -> str:
    """The recogniser of all score files.

    Raises:
        ValueError: there are several.
    """
    found = sorted(set().union(*(variant.recognizers for variant in variants)))
    if len(found) > 1:
        raise ValueError(f"score files are of different recognisers, {found}; remove them and run again")
    return found[0]


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", required=True, nargs="+", help="the first is what the others are compared with")
    parser.add_argument("--scores", required=True, nargs="+", help="score directory of each, {seed} for its seeds")
    parser.add_argument("--sets", nargs="+", default=["test", "test_unseen"], help="test sets")
    parser.add_argument("--seeds", required=True, nargs="+", type=int, help="of decoding or of training")
    parser.add_argument("--command", required=True, help="that made them, for the record")
    parser.add_argument("--title", required=True, help="heading")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    named = zip(args.variants, args.scores, strict=True)
    variants = [Variant(name, scores, args.seeds, args.sets) for name, scores in named]
    facts = "\n".join(f"- {name}: {value}" for name, value in run_facts(args.command).items())
    count = len(variants[0].errors[PLAIN])
    text = f"""# {args.title}

{facts}

SoundStorm on the true semantic tokens of {count} utterances ({", ".join(args.sets)}), {len(args.seeds)} samples of
each by as many seeds; with and without a prompt of 3 s. Differences with 95 % intervals over utterances, each
against itself (voices: over speakers and the utterances of each, where the scores name two speakers). Passes:
forward passes of SoundStorm of the mean utterance, without and with prompt, in batches; nearly all of the computing
is theirs. Recogniser: `{one_ear(variants)}`.

{render(variants)}
What another seed alone changes:

{render_seeds(variants, args.seeds)}"""
    write_text(args.output, text)


if __name__ == "__main__":
    main()
