"""Makes data/train, dev and test of conversations, chunk by chunk, and data/prompts: short exchanges to prompt with.

A chunk holds whole turns, up to 30 s; its text has '|' where the speaker changes, and its speaker is the conversation.
Where not all is transcribed, data/train_text and dev_text are the parts that are, and data/train has no text.
data/test/turns says who speaks when in its chunks, in seconds, for local/turn_voices.py.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import logging
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from chunks import Chunk, cut, exchange
from conversations import DEFAULT_GAP, SPLITS, Conversation, Entry, at_rate, read_manifest
from dailytalk import read_dailytalk
from rttm import read_rttm

from soundstorm.data.data_dir import check_ids, first_of, read_lines, write_log
from soundstorm.data.set_writer import SetWriter, Utterance

logger = logging.getLogger(__name__)
MOST_LOST = 0.05  # share of conversations
AT_ONCE = 256  # conversations whose recordings are looked at together


def get_parser() -> argparse.ArgumentParser:
    """The options of local/data.sh."""
    parser = argparse.ArgumentParser(
        prog="local/data.sh",
        usage="local/data.sh --manifest <file> | --dailytalk <dir> | --audio <dir> --rttm <file> --ctm <file> [...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--manifest", type=Path, action="append", default=[], metavar="FILE",
        help="JSON lines, one conversation each (local/conversations.py); give the option again for more")  # fmt: skip
    add("--dailytalk", type=Path, help="DailyTalk as published: data/<dialogue>/<turn>_<speaker>_d<dialogue>.wav, .txt")
    add("--audio", type=Path, help="folder of recordings, for --rttm and --stm")
    add("--rttm", type=Path, help="speaker turns of those recordings")
    add("--stm", type=Path, help="their words by turn; with or without --rttm")
    add("--ctm", type=Path, help="their words with times, for --rttm")
    add("--gap", type=float, default=DEFAULT_GAP, help="silence between DailyTalk's turns, seconds (%(default)s)")
    add("--dev-list", type=Path, help="file whose first column names conversations of the dev set")
    add("--test-list", type=Path, help="the same for the test set")
    add(
        "--dev-share",
        type=float,
        default=0.02,
        help="share of conversations held out if nothing else says (%(default)s)",
    )
    add("--test-share", type=float, default=0.02, help="the same for test (%(default)s)")
    add("--max-seconds", type=float, default=30.0, help="longest chunk (%(default)s)")
    add("--min-seconds", type=float, default=1.0, help="shorter chunks are left out (%(default)s)")
    add("--max-gap", type=float, default=3.0, help="longest silence in a chunk, seconds (%(default)s)")
    add("--prompt-seconds", type=float, default=10.0, help="longest exchange of data/prompts (%(default)s)")
    add("--sample-rate", type=int, default=24000, help="Hz, the codec's (%(default)s); other recordings are converted")
    add("--nj", type=int, default=8, help="threads that read and convert recordings (%(default)s)")
    add("--datadir", type=Path, default=Path("data"), help="where the sets go (%(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Read what there is, split it by conversation, cut it, write the sets."""
    args = get_parser().parse_args(argv)
    if not 0 < args.min_seconds <= args.max_seconds:
        raise ValueError(
            f"--min-seconds {args.min_seconds:g} and --max-seconds {args.max_seconds:g}: expected 0 < min <= max"
        )
    entries = find_entries(args)
    splits = choose_splits(
        entries, {"dev": args.dev_list, "test": args.test_list}, {"dev": args.dev_share, "test": args.test_share}
    )
    Preparation(args).write(entries, splits)


def find_entries(args: argparse.Namespace) -> list[Entry]:
    """All conversations of all sources, sorted by name."""
    found: list[Entry] = []
    for path in args.manifest:
        found += read_manifest(path)
    if args.dailytalk:
        found += read_dailytalk(args.dailytalk, args.gap)
    if args.rttm or args.stm or args.ctm:
        if not args.audio:
            raise ValueError("--rttm and --stm need --audio <folder of their recordings>")
        found += read_rttm(args.audio, rttm=args.rttm, stm=args.stm, ctm=args.ctm)
    if not found:
        raise ValueError("no conversations; pass --manifest <file>, --dailytalk <dir>, or --audio, --rttm and --ctm")
    check_ids((entry.name for entry in found), "conversations")  # they become names of files
    found.sort(key=lambda entry: f"{entry.name}-")
    for before, entry in itertools.pairwise(found):
        if before.name == entry.name:
            raise ValueError(f"conversation {entry.name} is there twice; rename one")
    return found


def choose_splits(entries: list[Entry], lists: dict[str, Path | None], shares: dict[str, float]) -> dict[str, str]:
    """What each conversation is for: as a list says, as its source says, or by the hash of its name."""
    splits = {entry.name: entry.split for entry in entries}
    for name, path in lists.items():
        for conversation, _ in read_lines(path) if path else ():
            if conversation not in splits:
                raise ValueError(f"{path}: there is no conversation {conversation}")
            splits[conversation] = name
    for name in ("test", "dev"):
        if name not in splits.values():
            free = [conversation for conversation, split in splits.items() if split is None]
            ranked = sorted(free, key=lambda conversation: hashlib.sha256(conversation.encode()).hexdigest())
            number = max(1, round(shares[name] * len(free)))
            if not 0 < shares[name] < 1 or number >= len(free):
                raise ValueError(
                    f"cannot hold out {shares[name]:g} of {len(free)} conversations for {name}; name some by "
                    f"--{name}-list or give --{name}-share between 0 and 1"
                )
            splits.update(dict.fromkeys(ranked[:number], name))
    splits = {conversation: split or "train" for conversation, split in splits.items()}
    if missing := set(SPLITS) - set(splits.values()):
        raise ValueError(f"no conversation is left for {sorted(missing)[0]}; see --dev-list and --test-list")
    return splits


@dataclass
class Preparation:
    """Cutting and writing of conversations, and what was lost on the way."""

    args: argparse.Namespace
    lost: list[str] = field(default_factory=list)  # why a conversation cannot be used
    poor: set[str] = field(default_factory=set)  # recorded at a lower rate than that of the sets
    speakers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # of each split

    def write(self, entries: list[Entry], splits: dict[str, str]) -> None:
        """Write every set conversation by conversation."""
        datadir = self.args.datadir
        with ExitStack() as stack:
            whole = {name: stack.enter_context(SetWriter(datadir / name)) for name in ("train", "dev")}
            known = {
                name: stack.enter_context(SetWriter(datadir / f"{name}_text", text=True)) for name in ("train", "dev")
            }
            test = stack.enter_context(SetWriter(datadir / "test", text=True, more=["turns"]))
            prompts = stack.enter_context(SetWriter(datadir / "prompts", text=True))
            for conversation in self._conversations(entries):
                split = splits[conversation.name]
                chunks = self._chunks(conversation)
                self.speakers[split] |= {turn.speaker for turn in conversation.turns}
                if split == "test":
                    spoken = [chunk for chunk in chunks if chunk.text and len(chunk.speakers) > 1]
                    _add(test, conversation, spoken)
                    for chunk in spoken:
                        for turn in _turns(conversation, chunk):
                            test.write("turns", _name(conversation, chunk), turn)
                    first = exchange(conversation.turns, max_seconds=self.args.prompt_seconds)
                    _add(prompts, conversation, [first] if first else [])
                else:
                    _add(whole[split], conversation, chunks)
                    _add(known[split], conversation, [chunk for chunk in chunks if chunk.text])
            self._check(len(entries), {"train": whole["train"], "dev": whole["dev"], "test": test})
            self._settle({name: (whole[name], known[name]) for name in whole})
        if not prompts.num_utterances:
            logger.warning(
                "no test conversation has a transcribed exchange of at most %g s: no data/prompts",
                self.args.prompt_seconds,
            )

    def _conversations(self, entries: list[Entry]) -> Iterator[Conversation]:
        with ThreadPoolExecutor(max(1, self.args.nj)) as pool:
            for start in range(0, len(entries), AT_ONCE):
                yield from filter(None, pool.map(self._load, entries[start : start + AT_ONCE]))

    def _load(self, entry: Entry) -> Conversation | None:
        try:
            conversation, rate = at_rate(entry.load(), self.args.sample_rate, self.args.datadir / "converted")
        except (ValueError, OSError) as error:
            self.lost.append(str(error))
            return None
        if rate < self.args.sample_rate:
            self.poor.add(entry.name)
        return conversation

    def _chunks(self, conversation: Conversation) -> list[Chunk]:
        chunks = cut(conversation.turns, max_seconds=self.args.max_seconds, max_gap=self.args.max_gap)
        return [chunk for chunk in chunks if chunk.end - chunk.start >= self.args.min_seconds]

    def _check(self, total: int, sets: dict[str, SetWriter]) -> None:
        if len(self.lost) > MOST_LOST * total:
            raise ValueError(
                f"{len(self.lost)} of {total} conversations cannot be used, more than {MOST_LOST:.0%}: {self.lost[0]}"
            )
        for name, writer in sets.items():
            if not writer.num_utterances:
                wanted = "with words and two speakers" if name == "test" else f"of {self.args.min_seconds:g} s"
                raise ValueError(f"no chunk {wanted} is left for {name}; see --dev-list, --test-list and the sources")
        if self.lost:
            log = self.args.datadir / "log/left_out"
            write_log(log, sorted(self.lost))
            logger.warning("%d of %d conversations are left out, all of them in %s:", len(self.lost), total, log)
            for line in first_of(sorted(self.lost)):
                logger.warning("  %s", line)
        if self.poor:
            logger.warning(
                "%d conversations are recorded at less than %d Hz (%s, ...); nothing is heard in their upper band",
                len(self.poor), self.args.sample_rate, min(self.poor),
            )  # fmt: skip
        for name in ("dev", "test"):
            if shared := sorted(self.speakers[name] & self.speakers["train"]):
                logger.warning("%d speakers of %s are heard in training too (%s, ...)", len(shared), name, shared[0])

    def _settle(self, pairs: dict[str, tuple[SetWriter, SetWriter]]) -> None:
        """Sets that are transcribed as a whole need no second one."""
        if all(whole.num_utterances == known.num_utterances for whole, known in pairs.values()):
            for whole, known in pairs.values():
                whole.become(known)
            return
        for name, (whole, known) in pairs.items():
            logger.info("%s: %d of %d chunks are transcribed", name, known.num_utterances, whole.num_utterances)
        logger.info("train stage 5 on those: --text-train-set train_text --text-valid-set dev_text")


def _add(writer: SetWriter, conversation: Conversation, chunks: Sequence[Chunk]) -> None:
    name = conversation.name
    utterances = [Utterance(_name(conversation, c), name, c.start, c.end, c.text or "") for c in chunks]
    writer.add(name, {name: conversation.audio}, utterances)


def _name(conversation: Conversation, chunk: Chunk) -> str:
    return f"{conversation.name}-{round(chunk.start * 100):07d}"


def _turns(conversation: Conversation, chunk: Chunk) -> Iterator[str]:
    """Values of the lines of data/test/turns of a chunk."""
    for turn in sorted(conversation.turns, key=lambda turn: turn.start):
        start, end = max(turn.start, chunk.start) - chunk.start, min(turn.end, chunk.end) - chunk.start
        if start < end and turn.text != "":
            yield f"{turn.speaker} {start:.3f} {end:.3f}"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s (%(filename)s:%(lineno)d) %(levelname)s: %(message)s")
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"local/data.sh: {error}")
