"""Pairs in the manner of sWUGGY and sBLIMP, said by the recipe's own voices: <output>/{words,sentences}/gold.csv.

A word of the corpus against its beginning with the end of another one ("letter", "leday"), and a sentence that the
corpus does not have against itself with words moved. A few of the non-words are English ("mother"), but none is a word
of this corpus. The same seed gives the same bytes; a second run does nothing.
"""

import argparse
import csv
import hashlib
import io
import json
import multiprocessing
import re
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import grammar
import numpy as np
import synthesise_corpus
from corpus_plan import PRESETS, Planned, plan
from voices import SAMPLE_RATE, TRAINING_VOICES

from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_text

NUM_WORDS, NUM_SENTENCES = 60, 40  # pairs; there are as many sentences of each kind
VOICES = TRAINING_VOICES[:2]  # those of every preset
WORDS_IN_SENTENCE = 7


@dataclass(frozen=True)
class Pair:
    """What is said right and what wrong, and the cell of the table that says what kind it is."""

    right: str
    wrong: str
    kind: str


def word_pairs(seed: int) -> list[Pair]:
    """Words and non-words. The kind is how often the training set says the word, oov where it never does."""
    rng = np.random.default_rng([seed, 1])
    said = Counter(word for item in plan(PRESETS["full"], 0) if item.set_name == "train" for word in item.text.split())
    vocabulary = grammar.vocabulary()
    # The beginning goes up to the first vowels; both parts of a non-word are then ones that the corpus has.
    parts = {word: re.fullmatch("([^aeiouy]*[aeiouy]+)([a-z]{2,})", word) for word in sorted(vocabulary)}
    parts = {word: match.groups() for word, match in parts.items() if match and len(word) >= 5}
    pairs, taken = [], set(vocabulary)
    for word in rng.permutation(list(parts)):
        head, tail = parts[word]
        ends = [other for _, other in parts.values() if abs(len(other) - len(tail)) <= 1 and head + other not in taken]
        if ends and len(pairs) < NUM_WORDS:
            wrong = head + ends[rng.integers(len(ends))]
            taken.add(wrong)
            pairs.append(Pair(str(word), wrong, str(said[word] or "oov")))
    return pairs


def sentence_pairs(seed: int) -> list[Pair]:
    """Sentences, and the same words in another order: all of them, or two neighbours only."""
    rng = np.random.default_rng([seed, 2])
    taken = {item.text for item in plan(PRESETS["full"], 0)}
    pairs = []
    for kind in ("words shuffled", "neighbours swapped"):
        while sum(pair.kind == kind for pair in pairs) < NUM_SENTENCES:
            right = grammar.fill(grammar.CLAUSES[rng.integers(len(grammar.CLAUSES))], rng)
            words = right.split()
            if right in taken or len(words) < WORDS_IN_SENTENCE:
                continue
            order = np.arange(len(words))
            if kind == "words shuffled":
                order = rng.permutation(order)
            else:
                first = rng.integers(len(words) - 1)
                order[[first, first + 1]] = order[[first + 1, first]]
            wrong = " ".join(words[at] for at in order)
            if wrong != right:
                taken.add(right)
                pairs.append(Pair(right, wrong, kind))
    return pairs


def table(pairs: list[Pair], column: str) -> tuple[str, list[Planned]]:
    """gold.csv, whose column of that name has the kinds, and what is to be said for it."""
    content, spoken = io.StringIO(), []
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["id", "filename", "voice", column, "transcription", "correct"])
    for number, pair in enumerate(pairs, start=1):
        for voice in VOICES:
            for text, correct in ((pair.right, 1), (pair.wrong, 0)):
                name = f"{voice.name}-{number:03d}-{correct}"
                writer.writerow([number, name, voice.name, pair.kind, text, correct])
                spoken.append(Planned(name, voice.name, column, ((voice, text),)))
    return content.getvalue(), spoken


def _say(job: tuple[Planned, int, Path]) -> None:
    planned, seed, folder = job
    write_audio(folder / f"{planned.utt}.wav", synthesise_corpus.render(planned, seed).samples, SAMPLE_RATE)


def make_pairs(output: Path, seed: int, nj: int) -> bool:
    """Make the pairs unless they are there. Returns whether there was anything to do."""
    files = (*(Path(__file__).parent / name for name in synthesise_corpus.CODE), Path(__file__))
    code = b"".join(path.read_bytes() for path in files)
    packages = {package: version(package) for package in synthesise_corpus.PACKAGES}
    stamp = {"seed": seed, "code": hashlib.sha256(code).hexdigest()[:16], "packages": packages}
    if (output / "stamp.json").exists() and json.loads((output / "stamp.json").read_text()) == stamp:
        return False
    (output / "stamp.json").unlink(missing_ok=True)
    for name, pairs, column in (
        ("words", word_pairs(seed), "frequency"),
        ("sentences", sentence_pairs(seed), "type"),
    ):
        gold, spoken = table(pairs, column)
        with multiprocessing.Pool(nj) as pool:
            pool.map(_say, [(planned, seed, output / name) for planned in spoken], chunksize=8)
        write_text(output / name / "gold.csv", gold)
        print(f"{output / name}: {len(pairs)} pairs in {len(VOICES)} voices")
    write_text(output / "stamp.json", json.dumps(stamp, indent=1) + "\n")
    return True


def main(argv: list[str] | None = None) -> None:
    """Command line; run_extended.sh calls it."""
    parser = argparse.ArgumentParser(description="Synthesise pairs of right and wrong words and sentences.")
    parser.add_argument("--output", type=Path, default=Path("corpus_pairs"), help="where they go")
    parser.add_argument("--seed", type=int, default=0, help="another seed is other pairs")
    parser.add_argument("--nj", type=int, default=2, help="processes")
    args = parser.parse_args(argv)
    if not make_pairs(args.output, args.seed, args.nj):
        print(f"{args.output}: up to date")


if __name__ == "__main__":
    try:
        main()
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        sys.exit(f"synthesise_pairs.py: {error}")
