"""Labels of a training set, made once and read by every process of a training, at every start."""

from __future__ import annotations

import time
from pathlib import Path

from soundstorm.data.archive import TokenArchive, TokenizerInfo, read_info, write_shards
from soundstorm.data.audio import Utterances
from soundstorm.data.experiment import is_first_process
from soundstorm.tokens.semantic import SemanticTokenizer

SECONDS_BETWEEN_LOOKS = 0.5


def stored_labels(tokenizer: SemanticTokenizer, utterances: Utterances, prefix: str | Path) -> TokenArchive:
    """The semantic tokens of all utterances, in an archive.

    The first process makes them, if they are not there; the others wait for it, however long it takes, where
    a collective call would give up.

    Args:
        tokenizer: extracts them.
        utterances: the recordings, at the tokenizer's rate.
        prefix: of the archive (see ``data/archive.py``).
    """
    scp = Path(f"{prefix}.scp")
    while (archive := _whole_archive(scp, tokenizer.info, utterances)) is None:
        if is_first_process():
            write_shards(
                prefix,
                utterances.ids,
                lambda ids: tokenizer.encode_utterances(utterances.part(ids)),
                tokenizer.info,
            )
        else:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    return archive


def _whole_archive(scp: Path, info: TokenizerInfo, utterances: Utterances) -> TokenArchive | None:
    if not scp.exists() or read_info(scp).fingerprint != info.fingerprint:
        return None
    archive = TokenArchive(scp)
    return archive if all(utt in archive for utt in utterances.ids) else None
