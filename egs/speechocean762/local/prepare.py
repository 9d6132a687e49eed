"""Makes data/train, dev and test, and their transcribed parts, of speechocean762 and of data directories of your own.

A set gets what a list names (--dev-list, --test-list), then what the sources themselves set apart: the published test
speakers, folders called dev... or test... . A dev or test set that is still empty gets speakers of its own, the same in
every run. Everything else is for training.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sources import CORPUS_HELP, Utterance, read_corpus, read_extra

from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import invert, read_lines, write_table
from soundstorm.data.data_dir_replace import staged
from soundstorm.data.data_dir_values import not_audio

logger = logging.getLogger(__name__)
SAMPLE_RATE = 16000  # Hz, of every set
Sets = dict[str, list[Utterance]]


class Recording(NamedTuple):
    """A file at the rate of the sets, and its length in seconds."""

    path: Path
    seconds: float


def get_parser() -> argparse.ArgumentParser:
    """The options of local/data.sh."""
    parser = argparse.ArgumentParser(
        prog="local/data.sh",
        usage="local/data.sh [--corpus <dir>] [--extra-data <dir>]... [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--corpus", type=Path, help="speechocean762 as OpenSLR publishes it (resource 101): WAVE/, train/, test/")
    add("--extra-data", type=Path, action="append", default=[], metavar="DIR",
        help="a Kaldi data directory, or a folder of such; give the option again for more. Without transcripts it "
        "serves every stage but the one that trains text to semantic tokens")  # fmt: skip
    add("--dev-list", type=Path, help="file whose first column names speakers or utterances of the dev set")
    add("--test-list", type=Path, help="the same for the test set")
    add("--dev-share", type=float, default=0.05, help="share of speakers held out if dev is empty (%(default)s)")
    add("--test-share", type=float, default=0.1, help="the same for test (%(default)s)")
    add("--test-min-seconds", type=float, default=0.0, help="leave shorter utterances out of the test set")
    add("--datadir", type=Path, default=Path("data"), help="where the sets go (%(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the sources, splits them, brings recordings to the sets' rate, writes the sets."""
    args = get_parser().parse_args(argv)
    if args.corpus is None and not args.extra_data:
        raise ValueError(f"pass --corpus <dir>, --extra-data <dir>, or both. {CORPUS_HELP}")
    utterances = list(read_corpus(args.corpus)) if args.corpus else []
    for directory in args.extra_data:
        utterances += read_extra(directory)
    refuse_double(utterances)
    lists = {"dev": args.dev_list, "test": args.test_list}
    sets = split(utterances, lists, {"dev": args.dev_share, "test": args.test_share})
    recordings = convert(utterances, args.datadir / "converted")
    sets["test"] = testable(sets["test"], recordings, args.test_min_seconds)
    for name in ("train", "dev"):
        sets[f"{name}_text"] = [utterance for utterance in sets[name] if utterance.text]
    for name, members in sets.items():
        write_set(args.datadir / name, members, recordings)
    for name in ("dev", "test"):
        if shared := sorted({u.speaker for u in sets[name]} & {u.speaker for u in sets["train"]}):
            logger.warning("%d speakers of %s are heard in training too (%s, ...)", len(shared), name, shared[0])


def refuse_double(utterances: Iterable[Utterance]) -> None:
    """No name may mean two things."""
    named: dict[str, Utterance] = {}
    paths: dict[str, Path] = {}
    for utterance in utterances:
        other = named.setdefault(utterance.name, utterance)
        if other is not utterance:
            raise ValueError(f"utterance {utterance.name} is both in {other.source} and in {utterance.source}")
        path = paths.setdefault(utterance.recording, utterance.path)
        if path != utterance.path:
            raise ValueError(f"recording {utterance.recording} is both {path} and {utterance.path}; rename one")


def split(utterances: list[Utterance], lists: dict[str, Path | None], shares: dict[str, float]) -> Sets:
    """Decides what each utterance is for.

    Args:
        utterances: All of them.
        lists: For dev and test, a file that names speakers or utterances, or None.
        shares: For dev and test, the share of speakers to hold out where nothing else fills the set.

    Returns:
        train, dev and test: disjoint, together everything.
    """
    sets: Sets = {"train": [], "dev": [], "test": []}
    named = {name: _read_list(path, utterances) if path else frozenset() for name, path in lists.items()}
    if both := sorted(named["dev"] & named["test"]):
        raise ValueError(f"{both[0]} is both in {lists['dev']} and in {lists['test']}")
    for utterance in utterances:
        of_lists = [name for name, names in named.items() if names & {*utterance.names, utterance.speaker}]
        sets[of_lists[0] if of_lists else utterance.split or "train"].append(utterance)
    for name in ("test", "dev"):
        if not sets[name]:
            held_out = _choose_speakers(sets["train"], shares[name], name)
            sets[name] = [utterance for utterance in sets["train"] if utterance.speaker in held_out]
            sets["train"] = [utterance for utterance in sets["train"] if utterance.speaker not in held_out]
    if not sets["train"]:
        raise ValueError("no utterance is left for training; see --dev-list, --test-list and the sources' own splits")
    return sets


def _read_list(path: Path, utterances: Iterable[Utterance]) -> frozenset[str]:
    names = {name for name, _ in read_lines(path)}
    known = {name for utterance in utterances for name in (*utterance.names, utterance.speaker)}
    if unknown := sorted(names - known):
        raise ValueError(
            f"{path}: {unknown[0]} is neither a speaker nor an utterance of the sources "
            f"({len(unknown)} of {len(names)} names are unknown)"
        )
    return frozenset(names)


def _choose_speakers(utterances: list[Utterance], share: float, name: str) -> set[str]:
    """Speakers to hold out: by the hash of their names, so that more data do not move those that were chosen."""
    transcribed = {utterance.speaker for utterance in utterances if utterance.text}
    silent = {utterance.speaker for utterance in utterances} - transcribed
    groups = [transcribed or silent]
    if transcribed and name != "test":  # a test set has transcripts if there are any
        groups.append(silent)
    chosen: set[str] = set()
    for number, group in enumerate(groups):
        ranked = sorted(group, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())
        chosen.update(ranked[: max(round(share * len(group)), 1 - number)])
    if not 0 < share < 1 or len(chosen) >= len(transcribed | silent):
        raise ValueError(
            f"cannot hold out {share:g} of {len(transcribed | silent)} speakers for {name}; name utterances by "
            f"--{name}-list, or give --{name}-share between 0 and 1 and more speakers"
        )
    return chosen


def convert(utterances: Iterable[Utterance], directory: Path) -> dict[str, Recording]:
    """Brings recordings to one channel at the sets' rate; those that are so already stay where they are.

    Args:
        utterances: All of them.
        directory: Gets the recordings that had to be converted; what is there of an earlier run is used.

    Returns:
        Recording's name to what to read.
    """
    import soundfile
    import soxr

    recordings: dict[str, Recording] = {}
    num_converted = 0
    for name, path in {utterance.recording: utterance.path for utterance in utterances}.items():
        try:
            info = soundfile.info(str(path))
        except soundfile.SoundFileError as error:
            raise ValueError(not_audio(path, error)) from error
        if (info.samplerate, info.channels) == (SAMPLE_RATE, 1):
            recordings[name] = Recording(path, info.duration)
            continue
        num_converted += 1
        target = (directory / f"{name}.wav").resolve()
        if not target.is_file() or target.stat().st_mtime < path.stat().st_mtime:
            wav, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
            write_audio(target, soxr.resample(wav.mean(axis=1), rate, SAMPLE_RATE), SAMPLE_RATE)
        recordings[name] = Recording(target, soundfile.info(str(target)).duration)
    if num_converted:
        logger.info("%d recordings converted to %d Hz, mono: %s", num_converted, SAMPLE_RATE, directory)
    return recordings


def testable(utterances: list[Utterance], recordings: dict[str, Recording], min_seconds: float) -> list[Utterance]:
    """The utterances that can be scored: long enough, and transcribed unless none is."""
    long_enough = [u for u in utterances if seconds_of(u, recordings) >= min_seconds]
    kept = [u for u in long_enough if u.text] or long_enough
    if not kept:
        raise ValueError(f"none of {len(utterances)} test utterances is {min_seconds:g} s long (--test-min-seconds)")
    if left := len(utterances) - len(kept):
        logger.info("%d test utterances are left out: shorter than %g s or without transcript", left, min_seconds)
    return kept


def seconds_of(utterance: Utterance, recordings: dict[str, Recording]) -> float:
    """Length of an utterance."""
    if utterance.start is None or utterance.end is None:
        return recordings[utterance.recording].seconds
    return utterance.end - utterance.start


def write_set(directory: Path, utterances: list[Utterance], recordings: dict[str, Recording]) -> None:
    """Writes one data directory in the place of an old one, see `staged`: its tokens are no longer its own.

    Nothing is written for a set without utterances.
    """
    with staged(directory) as new:
        if utterances:
            write_files(new, utterances, recordings)
    if not utterances:
        logger.warning("%s: no utterances, not made", directory)
        return
    hours = sum(seconds_of(utterance, recordings) for utterance in utterances) / 3600
    speakers = {utterance.speaker for utterance in utterances}
    logger.info("%s: %d utterances, %d speakers, %.2f h", directory, len(utterances), len(speakers), hours)


def write_files(new: Path, utterances: list[Utterance], recordings: dict[str, Recording]) -> None:
    """Writes the files of a set."""
    utt2spk = {utterance.name: utterance.speaker for utterance in sorted(utterances, key=lambda u: u.name)}
    write_table(new / "utt2spk", utt2spk)
    write_table(new / "spk2utt", invert(utt2spk))
    write_table(new / "wav.scp", {u.recording: str(recordings[u.recording].path) for u in utterances})
    write_table(new / "utt2dur", {u.name: f"{seconds_of(u, recordings):.3f}" for u in utterances})
    if any(utterance.start is not None for utterance in utterances):
        write_table(new / "segments", {u.name: _segment(u, recordings) for u in utterances})
    if all(utterance.text for utterance in utterances):
        write_table(new / "text", {u.name: u.text for u in utterances})
    if all(utterance.gender for utterance in utterances):
        write_table(new / "spk2gender", {u.speaker: u.gender for u in utterances})


def _segment(utterance: Utterance, recordings: dict[str, Recording]) -> str:
    """Where an utterance lies, also one that has its recording to itself."""
    start, end = utterance.start or 0.0, utterance.end or recordings[utterance.recording].seconds
    return f"{utterance.recording} {start:.3f} {end:.3f}"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s")
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
