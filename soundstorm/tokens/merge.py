"""Joining the archives of array jobs, with the rule on lost utterances, and the figures of their
codebooks.
"""

from __future__ import annotations

import heapq
import logging
from array import array
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from soundstorm.data.archive import (
    FRAME_TABLES,
    TokenArchive,
    TokenizerInfo,
    joined,
    merge_archives,
    read_info,
    read_summary,
)
from soundstorm.data.audio import Utterances
from soundstorm.data.codebook import usage_and_perplexity
from soundstorm.data.data_dir import in_step, sorted_lines, write_lines
from soundstorm.data.errors import InputError

logger = logging.getLogger(__name__)

SHOWN = 5  # utterances named in a message about many
LEAST_SHARE = 0.95  # of utterances that must have tokens


def merge_tokens(
    parts: list[str], output: str | Path, *, data_dir: str | Path | None = None
) -> TokenizerInfo:
    """Join ``parts`` into ``output`` and log usage and perplexity of each level.

    The numbers of frames are written beside them, so that training knows lengths without reading all tokens, and how
    often each code occurs, for the report.

    Raises:
        ValueError: fewer than 95 % of the data directory's utterances have tokens.
    """
    output, info = Path(output), read_info(parts[0])
    for part in parts[1:]:
        info.check_same(read_info(part), str(parts[0]), str(part))
    data_dir = output.parent if data_dir is None else Path(data_dir)
    places = f"{data_dir} and {parts[0]}" + (f" to {parts[-1]}" if len(parts) > 1 else "")
    expected = data_dir / ("segments" if (data_dir / "segments").exists() else "wav.scp")
    lost, total = [], 0
    for utt, audio, tokens in in_step(sorted_lines(expected), joined(parts)):
        total += audio is not None
        if tokens is None:
            lost.append(utt)
    _check_share(lost, total, places)
    # Every archive is looked at before anything is written: a merged scp says that the stage is complete. Each
    # job has counted its own codes, so that not all of them are read here.
    counts, lengths = np.zeros((), dtype=np.int64), []
    for archive in map(TokenArchive, parts):
        archive.check()
        found, frames = read_summary(archive)
        counts = counts + found
        lengths.append(array("q", [frames[utt] for utt in sorted(frames)]))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)  # another one's, to which the numbers of frames would not belong
    table = output.with_name(FRAME_TABLES[info.kind])
    write_lines(table, heapq.merge(*map(zip, map(_keys, parts), lengths)))
    info = merge_archives(parts, output, counts)  # last: its presence says that all of it is there
    for level, (usage, perplexity) in enumerate(zip(*usage_and_perplexity(counts)), start=1):
        logger.info(
            "%s level %d: %.1f %% of %d codes used, perplexity %.1f",
            output,
            level,
            100 * usage,
            info.codebook_size,
            perplexity,
        )
    return info


def damaged(scps: list[str], data_dir: str | Path | None = None) -> list[str]:
    """Those of some scp files that are missing, or whose archives are missing or damaged.

    Where a data directory is given, also those with tokens of other audio than it has now.
    """
    found, utterances = [], None
    for scp in scps:
        try:
            archive = TokenArchive(scp)
            archive.check()
            if data_dir is None or not (Path(data_dir) / "wav.scp").exists():  # tokens may be all there is
                continue
            utterances = utterances or Utterances(data_dir, archive.info.sample_rate)
            for utt in archive.changed(utterances.sources):
                raise InputError(f"{scp}: the audio of {utt} is not what its tokens were made of")
        except (ValueError, OSError) as error:
            logger.info("%s", error)
            found.append(scp)
    return found


def _keys(path: str | Path) -> Iterator[str]:
    return (key for key, _ in sorted_lines(path))


def check_lost(
    expected: Sequence[str], found: Collection[str], where: str | Path, what: str = "tokens"
) -> None:
    """Warn of utterances without tokens (or what it is), with their count; refuse to go on when they are more
    than 5 %."""
    _check_share([utt for utt in expected if utt not in found], len(expected), where, what)


def with_tokens(ids: Sequence[str], archive: TokenArchive) -> list[str]:
    """Those that an archive has, with a warning that counts the others, which extraction could leave out."""
    found = [utt for utt in ids if utt in archive]
    if len(found) < len(ids):
        logger.warning("%s: no tokens of %d of %d utterances", archive.scp, len(ids) - len(found), len(ids))
    return found


def _check_share(lost: Sequence[str], total: int, where: str | Path, what: str = "tokens") -> None:
    if not lost:
        return
    some = ", ".join(lost[:SHOWN]) + (", ..." if len(lost) > SHOWN else "")
    text = f"{where}: {len(lost)} of {total} utterances have no {what} ({some})"
    if total - len(lost) < LEAST_SHARE * total:
        raise InputError(f"{text}; at least {LEAST_SHARE:.0%} must have some: the logs say why each was left out")
    logger.warning("%s", text)
