"""Does every speaker of a dialogue keep a voice of their own? Similarity of turns of one speaker, and of two.

Systems that speak given semantic tokens keep the times of the recording, so its turns are theirs. Pairs of turns of an
utterance are compared by speaker-verification embeddings; the later turn of a pair begins after the voice prompt, so
that a part at least of what is compared was generated. The pairs are the same for all systems.

    python3 local/turn_voices.py --data data/test --speech codec=exp/soundstorm/decode_codec/test \\
        SoundStorm=exp/soundstorm/decode_soundstorm/test prompted=exp/soundstorm/decode_soundstorm_prompted/test
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from soundstorm.bin.common import provide_numba_cache
from soundstorm.data.audio import Utterances, num_samples
from soundstorm.data.data_dir import iterate_lines, parse_seconds, write_text
from soundstorm.scoring.measures import cosine
from soundstorm.scoring.statistics import bootstrap
from soundstorm.scoring.tables import table
from soundstorm.tokens.merge import check_lost

SAMPLE_RATE = 16000  # Hz of the speaker model


class Turn(NamedTuple):
    """A stretch of one speaker, seconds of the utterance."""

    speaker: str
    start: float
    end: float


class Similarities(NamedTuple):
    """Of the pairs of one utterance. Where a turn is compared with turns of both speakers, ``nearest``: is it most like
    one of its own? And ``chance``: how often that would be so if all voices were alike."""

    same: list[float]
    other: list[float]
    nearest: list[bool]
    chance: list[float]


def read_turns(path: Path) -> dict[str, list[Turn]]:
    """Turns of each utterance, as stage 0 wrote them."""
    turns: dict[str, list[Turn]] = defaultdict(list)
    for number, (utterance, value) in enumerate(iterate_lines(path), start=1):
        fields = value.split()
        if len(fields) != 3:
            raise ValueError(
                f"{path}, line {number}: expected <utterance> <speaker> <start> <end>, got {utterance} {value!r:.80}"
            )
        turns[utterance].append(Turn(fields[0], parse_seconds(fields[1]), parse_seconds(fields[2])))
    return dict(turns)


def choose(turns: Sequence[Turn], *, prompt_seconds: float, min_seconds: float) -> list[Turn]:
    """Turns that are long enough and that nobody talks into; a turn that the prompt ends in is its part before or after
    that, whichever is longer."""
    chosen = []
    for turn in turns:
        if any(turn is not other and turn.start < other.end and other.start < turn.end for other in turns):
            continue
        if turn.start < prompt_seconds < turn.end:
            parts = turn._replace(end=prompt_seconds), turn._replace(start=prompt_seconds)
            turn = max(parts, key=lambda part: part.end - part.start)
        if turn.end - turn.start >= min_seconds:
            chosen.append(turn)
    return chosen


def compare(
    wav: np.ndarray, turns: Sequence[Turn], embed: Callable[[np.ndarray], np.ndarray], prompt_seconds: float
) -> Similarities:
    """Similarities of the pairs of turns of one recording ``(S,)``."""
    embeddings = [embed(wav[num_samples(t.start, SAMPLE_RATE) : num_samples(t.end, SAMPLE_RATE)]) for t in turns]
    found = Similarities([], [], [], [])
    of_turn: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for first, second in combinations(range(len(turns)), 2):
        if max(turns[first].start, turns[second].start) < prompt_seconds:
            continue
        similarity, same = cosine(embeddings[first], embeddings[second]), turns[first].speaker == turns[second].speaker
        (found.same if same else found.other).append(similarity)
        for turn in (first, second):
            of_turn[turn].append((similarity, same))
    for pairs in of_turn.values():
        if len({same for _, same in pairs}) == 2:
            found.nearest.append(max(pairs)[1])
            found.chance.append(sum(same for _, same in pairs) / len(pairs))
    return found


def row_of(name: str, utterances: Utterances, turns: dict[str, list[Turn]], embed, prompt_seconds: float) -> dict:
    """Figures of one system: means over pairs, with intervals over utterances."""
    found = {}
    for utt in tqdm(list(turns), desc=name, unit="utt", disable=not sys.stderr.isatty()):
        try:
            found[utt] = compare(utterances.read(utt), turns[utt], embed, prompt_seconds)
        except (ValueError, OSError) as error:
            print(f"{name}: {utt} is left out: {error}", file=sys.stderr)
    check_lost(list(turns), found, name, "voices")
    row = {"system": name}
    for key in Similarities._fields:
        values = [getattr(one, key) for one in found.values() if getattr(one, key)]
        if values:
            estimate = bootstrap([float(sum(v)) for v in values], [float(len(v)) for v in values])
            row[key] = {**asdict(estimate), "count": sum(map(len, values))}
    return row


def render(rows: Sequence[dict]) -> str:
    """The rows as Markdown."""

    def cells(row: dict) -> Iterator[str]:
        yield row["system"]
        for key, scale, decimals in (("same", 1, 3), ("other", 1, 3), ("nearest", 100, 1)):
            value = row.get(key)
            yield "-" if value is None else "{:.{d}f} [{:.{d}f}, {:.{d}f}] ({count})".format(
                *(scale * value[part] for part in ("value", "low", "high")), d=decimals, count=value["count"]
            )

    header = ["System", "Same speaker", "Two speakers", "Nearest turn is the speaker's own, %"]
    return table(header, [list(cells(row)) for row in rows])


def main(argv: Sequence[str] | None = None) -> None:
    """Compare the recordings and every system given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the test set, with the turns of stage 0")
    parser.add_argument("--speech", nargs="+", default=[], metavar="NAME=DIR", help="decoded speech, with wav.scp")
    parser.add_argument("--prompt-seconds", type=float, default=3.0, help="of the prompted systems (%(default)s)")
    parser.add_argument("--min-seconds", type=float, default=1.6, help="shorter turns are left out (%(default)s)")
    parser.add_argument("--speaker-model", default="resemblyzer", help="as of score (%(default)s)")
    parser.add_argument("--output", type=Path, help="JSON file to write too")
    args = parser.parse_args(argv)
    provide_numba_cache()
    from soundstorm.scoring.voice_preservation import load_speaker_model

    speech = {"Original": args.data}
    for word in args.speech:
        name, equals, folder = word.partition("=")
        if not equals:
            raise ValueError(f"--speech {word}: expected <name>=<directory>")
        speech[name] = Path(folder)
    limits = {"prompt_seconds": args.prompt_seconds, "min_seconds": args.min_seconds}
    turns = {utt: choose(some, **limits) for utt, some in read_turns(args.data / "turns").items()}
    embed = load_speaker_model(args.speaker_model)
    if embed.sample_rate != SAMPLE_RATE:
        raise ValueError(f"{args.speaker_model} reads {embed.sample_rate} Hz, expected {SAMPLE_RATE} Hz")
    sources = {name: Utterances(folder, SAMPLE_RATE, lower=True) for name, folder in speech.items()}
    turns = {utt: some for utt, some in turns.items() if all(utt in source.ids for source in sources.values())}
    if not turns:
        raise ValueError(f"{args.data}/turns: no utterance that all of {', '.join(speech)} have")
    rows = [row_of(name, source, turns, embed, args.prompt_seconds) for name, source in sources.items()]
    chance = rows[0].get("chance", {"value": 0.0})["value"]
    print(f"{len(turns)} utterances, 95 % intervals over them. In brackets: pairs, in the last column turns;")
    print(f"chance would be {100 * chance:.0f} % there.\n")
    print(render(rows), end="")
    if args.output:
        write_text(args.output, json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/turn_voices.py: {error}")
