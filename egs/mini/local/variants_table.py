"""RESULTS_options.md, RESULTS_ablations.md: variants of decoding or training beside the first of their kind.

All on the same utterances, each compared with itself.

Reads the score files that stage 7 wrote for each variant and seed.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from soundstorm.data.data_dir import write_text
from soundstorm.decoding.semantic_generator import PART as TEXT_PART
from soundstorm.scoring.report_content import run_facts
from soundstorm.scoring.score_file import read_score
from soundstorm.scoring.side_by_side import is_word_errors
from soundstorm.scoring.statistics import Estimate, bootstrap
from soundstorm.scoring.tables import heading_of, table

KINDS = {  # systems that are compared with each other
    "soundstorm": "Without prompt",
    "soundstorm_prompted": "After a prompt of 3 s",
    "soundstorm_text": "From text",
    "soundstorm_masked_text": "From text",
    "soundstorm_text_prompted": "From text, after a prompt of 3 s",
    "soundstorm_masked_text_prompted": "From text, after a prompt of 3 s",
}
VOICE, QUALITY = "voice_preservation", "dnsmos"
Measured = dict[str, tuple[float, float]]  # utterance to the sums of a ratio's two sides


class Scores:
    """What was scored of one variant of one system: all sets and samples together; word errors of each seed too."""

    def __init__(self, by_seed: list[list[dict]]):
        files = [file for of_seed in by_seed for file in of_seed]
        rows = [row for file in files for row in file["utterances"].values()]
        found = list(dict.fromkeys(name for row in rows for name in row))
        words = [name for name in found if is_word_errors(name)]
        self.metrics = {name: _sums(files, name) for name in (*words, VOICE, QUALITY) if name in found}
        self.of_seeds = [estimate(_sums(of_seed, "wer")).value for of_seed in by_seed]
        self.recognizers = {tuple(file["settings"]["recognizers"]) for file in files}
        self.speakers = {u: row.get("speaker") for file in files for u, row in file["utterances"].items()}
        passes = sum(file["decode"]["passes"] * len(file["utterances"]) for file in files)
        self.passes = passes / len(rows)
        self.real_time_factor = 0.0
        for part in (files[0]["decode"]["kind"], TEXT_PART):
            times = [file["runtime"][part] for file in files if part in file["runtime"]]
            if times:  # not all speak from text
                self.real_time_factor += sum(t["seconds"] for t in times) / sum(t["audio_seconds"] for t in times)


def read_variant(scores: str, system: str, seeds: list[int], sets: list[str]) -> Scores:
    """Of the score directory ``scores``, in whose name {seed} stands for each seed."""
    folders = [Path(scores.replace("{seed}", str(seed))) for seed in seeds]
    return Scores([[read_score(folder / part / f"{system}.json") for part in sets] for folder in folders])


def _sums(files: list[dict], metric: str) -> Measured:
    """Of each utterance that has it, all its samples together: errors and words; of other metrics value and count."""
    found: Measured = defaultdict(lambda: (0.0, 0.0))
    for file in files:
        for utt, row in file["utterances"].items():
            if metric in row:
                weight, (top, bottom) = len(row["text"].split()) if is_word_errors(metric) else 1, found[utt]
                found[utt] = top + row[metric] * weight, bottom + weight
    return dict(found)


def estimate(values: Measured) -> Estimate:
    """The ratio of the sums."""
    return bootstrap([top for top, _ in values.values()], [bottom for _, bottom in values.values()])


def difference(values: Measured, base: Measured, speakers: dict[str, str | None]) -> Estimate:
    """How much larger the ratio is than the base's, with an interval over speakers and the utterances of each.

    Each utterance is compared with itself; without their speakers utterances are drawn.
    """
    if values.keys() != base.keys():
        raise ValueError("variants were scored on different utterances; remove their score files and run again")
    pairs = [(values[utt], base[utt]) for utt in base]
    gaps, weights = [mine[0] - other[0] for mine, other in pairs], [other[1] for _, other in pairs]
    return bootstrap(gaps, weights, speakers=[speakers.get(utt) for utt in base])


def render(variants: dict[str, Scores]) -> str:
    """The table in Markdown, the first variant on top."""
    (name, base), *_ = variants.items()
    header, rows = [""], []
    for metric in base.metrics:
        header += [heading_of(metric)[0], f"against {name}"]
    for name, variant in variants.items():
        cells = [f"`{name}`"]
        for metric, other in base.metrics.items():
            mine, decimals = variant.metrics[metric], {VOICE: 3, QUALITY: 2}.get(metric, 1)
            gap = difference(mine, other, variant.speakers)
            shown = f"{gap.value:+.{decimals}f} [{gap.low:+.{decimals}f}, {gap.high:+.{decimals}f}]"
            cells += [f"{estimate(mine).value:.{decimals}f}", "" if variant is base else shown]
        rows.append([*cells, f"{variant.real_time_factor:.4f}", f"{variant.passes:.3g}"])
    return table([*header, "Real-time factor", "Passes"], rows)


def render_seeds(variants: dict[str, Scores], seeds: list[int]) -> str:
    """Word errors of each seed: what another training or sample alone changes."""
    rows = [[f"`{name}`", *(f"{value:.1f}" for value in variant.of_seeds)] for name, variant in variants.items()]
    return table(["WER %", *(f"seed {seed}" for seed in seeds)], rows)


def same_ears(variants: list[Scores]) -> str:
    """The recognisers of all score files.

    Raises:
        ValueError: they differ.
    """
    found = sorted(set().union(*(variant.recognizers for variant in variants)))
    if len(found) > 1:
        raise ValueError(f"score files are of different recognisers, {found}; remove them and run again")
    return " and ".join(f"`{name}`" for name in found[0])


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--row", required=True, nargs=3, action="append", dest="rows", metavar=("NAME", "SYSTEM", "SCORES"),
        help="a variant, its system, its score directory with {seed} for the seeds; the first of a kind is the base",
    )  # fmt: skip
    parser.add_argument("--sets", nargs="+", default=["test", "test_unseen"], help="test sets")
    parser.add_argument("--seeds", required=True, nargs="+", type=int, help="of decoding or of training")
    parser.add_argument("--command", required=True, help="that made them, for the record")
    parser.add_argument("--title", required=True, help="heading")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    scored: dict[str, dict[str, Scores]] = defaultdict(dict)
    for name, system, scores in args.rows:
        scored[KINDS[system]][name] = read_variant(scores, system, args.seeds, args.sets)
    ears = same_ears([variant for variants in scored.values() for variant in variants.values()])
    parts = []
    for kind, variants in scored.items():
        parts.append(f"## {kind}\n\n{render(variants)}")
        if len(args.seeds) > 1:
            parts.append(f"What another seed alone changes:\n\n{render_seeds(variants, args.seeds)}")
    facts = "\n".join(f"- {name}: {value}" for name, value in run_facts(args.command).items())
    count = len(next(iter(variants.values())).metrics["wer"])
    text = f"""# {args.title}

{facts}

{count} utterances ({", ".join(args.sets)}), {len(args.seeds)} sample(s) of each by as many seeds; SoundStorm
on their true semantic tokens but where it speaks from text. Differences of each utterance against itself, with 95 %
intervals over speakers and the utterances of each (over utterances where the scores do not name two speakers). Word
errors are those of whole utterances, a prompt's included. Real-time factor: seconds of computing for the tokens of a
second of speech that is not the prompt's, in batches, semantic ones from text included; passes: SoundStorm's for the
mean utterance. Recogniser: {ears}.

"""
    write_text(args.output, text + "\n".join(parts))


if __name__ == "__main__":
    main()
