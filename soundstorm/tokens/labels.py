"""Labels of a training set, made once and read by every process of a training, at every start."""

from __future__ import annotations

import time
from pathlib import Path

from soundstorm.data.archive import TokenArchive, TokenizerInfo, read_info, write_shards
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.data.experiment import SECONDS_BETWEEN_LOOKS, is_first_process
from soundstorm.tokens.merge import check_lost
from soundstorm.tokens.semantic import SemanticTokenizer


def stored_labels(tokenizer: SemanticTokenizer, utterances: Utterances, prefix: str | Path) -> TokenArchive:
    """The semantic tokens of the utterances that have any, in an archive; others are named in ``<prefix>.left_out``.

    The first process makes them, if they are not there; the others wait for it, however long it takes, where
    a collective call would give up. What was left out stays so: a training that goes on has the same utterances.
    Labels of audio that was replaced are made again.

    Args:
        tokenizer: extracts them.
        utterances: the recordings, at the tokenizer's rate.
        prefix: of the archive (see ``data/archive.py``).

    Raises:
        ValueError: fewer than 95 % of the utterances have tokens.
    """
    scp, left_out = Path(f"{prefix}.scp"), Path(f"{prefix}.left_out")
    while (archive := _whole_archive(scp, left_out, tokenizer.info, utterances)) is None:
        if is_first_process():
            write_shards(
                prefix,
                utterances.ids,
                lambda ids: tokenizer.encode_utterances(utterances.part(ids), leave_out=True),
                tokenizer.info,
                sources=utterances.sources,
            )
            made = TokenArchive(scp)
            check_lost(utterances.ids, made, utterances.data_dir)
            write_table(left_out, {utt: "" for utt in utterances.ids if utt not in made})
        else:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    return archive


def _whole_archive(
    scp: Path, left_out: Path, info: TokenizerInfo, utterances: Utterances
) -> TokenArchive | None:
    if not scp.exists() or read_info(scp).fingerprint != info.fingerprint:
        return None
    archive = TokenArchive(scp)
    lost = [utt for utt in utterances.ids if utt not in archive]
    known = read_table(left_out) if lost and left_out.exists() else {}
    whole = all(utt in known for utt in lost) and next(archive.changed(utterances.sources), None) is None
    return archive if whole else None
