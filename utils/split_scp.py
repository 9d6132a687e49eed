#!/usr/bin/env python3
"""Split a file into contiguous pieces for array jobs.

usage: utils/split_scp.py [--utt2spk=<utt2spk>] <in> <out1> <out2> ...
   or: utils/split_scp.py [--utt2spk=<utt2spk>] -j <pieces> <i> [--one-based] <in> [<out>]
 e.g.: utils/split_scp.py data/train/wav.scp exp/log/keys.1.scp exp/log/keys.2.scp

Pieces differ by one line at most, the larger first. With --utt2spk all lines of a speaker stay together. With -j
only piece i is written, counted from 0 unless --one-based is given, to stdout unless there is an <out>.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soundstorm.data.data_dir import read_table  # noqa: E402


class UsageError(ValueError):
    """The command line is wrong: the usage is shown with the message."""


def split_lines(lines: list[str], num_pieces: int) -> list[list[str]]:
    """Cut a list into contiguous pieces of nearly equal size, the larger first."""
    size, larger = divmod(len(lines), num_pieces)
    starts = [piece * size + min(piece, larger) for piece in range(num_pieces + 1)]
    return [lines[start:end] for start, end in zip(starts, starts[1:])]


def split_speakers(counts: list[int], num_pieces: int) -> list[list[int]]:
    """Share out speakers so that the pieces' numbers of utterances are close.

    Starts with equal numbers of speakers, then moves a speaker over the border of two neighbouring pieces as long
    as that brings the sizes of these two closer.

    Args:
        counts: Utterances of each speaker, in the order of the file.
        num_pieces: Number of pieces, at most that of speakers.

    Returns:
        The speakers (places in `counts`) of each piece, contiguous and none empty.
    """
    pieces: list[list[int]] = [[] for _ in range(num_pieces)]
    for speaker in range(len(counts)):
        pieces[speaker * num_pieces // len(counts)].append(speaker)
    sizes = [sum(counts[speaker] for speaker in piece) for piece in pieces]

    def move(source: int, dest: int) -> bool:
        speaker = pieces[source][-1 if dest > source else 0]
        gap = sizes[source] - sizes[dest]
        if len(pieces[source]) < 2 or abs(gap - 2 * counts[speaker]) >= abs(gap):
            return False
        pieces[source].remove(speaker)
        pieces[dest].insert(0 if dest > source else len(pieces[dest]), speaker)
        sizes[source] -= counts[speaker]
        sizes[dest] += counts[speaker]
        return True

    moved = True
    while moved:
        moved = False
        for piece in range(num_pieces):
            if piece + 1 < num_pieces:
                moved |= move(piece, piece + 1)
            if piece > 0:
                moved |= move(piece, piece - 1)
    return pieces


def split_by_speaker(lines: list[str], utt2spk: Path, num_pieces: int) -> list[list[str]]:
    """Cut a list between speakers; lines of one speaker come together in the order of the first of them."""
    speaker_of = read_table(utt2spk)
    by_speaker: dict[str, list[str]] = {}
    for line in lines:
        utterance = line.split(maxsplit=1)[0]
        if utterance not in speaker_of:
            raise ValueError(f"utterance {utterance} is not in {utt2spk}")
        by_speaker.setdefault(speaker_of[utterance], []).append(line)
    groups = list(by_speaker.values())
    if len(groups) < num_pieces:
        raise ValueError(f"cannot split {len(groups)} speakers into {num_pieces} pieces [reduce $nj]")
    pieces = split_speakers([len(group) for group in groups], num_pieces)
    return [[line for speaker in piece for line in groups[speaker]] for piece in pieces]


def read_pieces(source: Path, utt2spk: str, num_pieces: int) -> list[list[str]]:
    """Read a file and cut it, refusing pieces without lines."""
    # Not splitlines(): a transcript may have characters that it takes for line ends.
    lines = source.read_bytes().decode("utf-8", errors="surrogateescape").split("\n")
    lines = [line + "\n" for line in (lines[:-1] if lines[-1] == "" else lines)]
    if not lines:
        raise ValueError(f"{source} is empty")
    if len(lines) < num_pieces:
        raise ValueError(
            f"cannot split {source} into so many pieces [reduce $nj ({num_pieces}) to be smaller than the number "
            f"of lines ({len(lines)}) in {source}]"
        )
    return split_by_speaker(lines, Path(utt2spk), num_pieces) if utt2spk else split_lines(lines, num_pieces)


def main(arguments: list[str]) -> None:
    rest, utt2spk, jobs, one_based = list(arguments), "", None, False
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option.startswith("--utt2spk="):
            utt2spk = option.partition("=")[2]
        elif option == "--one-based":
            one_based = True
        elif option == "-j" and len(rest) >= 2 and rest[0].isdecimal() and rest[1].isdecimal():
            jobs = int(rest.pop(0)), int(rest.pop(0))
        else:
            raise UsageError(f"cannot understand {option}")
    if jobs is None:
        if len(rest) < 2:
            raise UsageError(f"expected <in> and at least one <out>, got {len(rest)} arguments")
        outputs = rest[1:]
        pieces = read_pieces(Path(rest[0]), utt2spk, len(outputs))
    else:
        index = jobs[1] - one_based
        if not 0 <= index < jobs[0] or len(rest) not in (1, 2):
            raise UsageError(f"there is no piece {jobs[1]} of {jobs[0]}, or not one <in> and one <out>")
        outputs = rest[1:] or ["-"]
        pieces = [read_pieces(Path(rest[0]), utt2spk, jobs[0])[index]]
    for output in outputs:
        for source in filter(None, (rest[0], utt2spk)):
            if Path(output).exists() and Path(output).samefile(source):
                raise ValueError(f"the piece {output} would be written over {source}; give it another name")
    for output, piece in zip(outputs, pieces):
        content = "".join(piece).encode("utf-8", errors="surrogateescape")
        if output == "-":
            sys.stdout.buffer.write(content)
        else:
            Path(output).write_bytes(content)


if __name__ == "__main__":
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__.strip())
        sys.exit(0)
    try:
        main(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"split_scp.py: {error}\n{__doc__.split('Pieces')[0].split('usage: ', 1)[1].strip()}")
    except (ValueError, OSError) as error:
        sys.exit(f"split_scp.py: {error}")
