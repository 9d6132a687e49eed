"""Token errors of free-running text-to-semantic generation: teacher forcing does not show skipped words."""

import json
import logging
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenArchive
from soundstorm.data.data_dir import read_table, write_text
from soundstorm.data.deduplication import deduplicate
from soundstorm.decoding.semantic_generator import load_semantic_generator, text_kind_named
from soundstorm.models.text_to_semantic_config import REPORT_FILE

logger = logging.getLogger(__name__)
SETTINGS = ((0.0, 0), (0.9, 125))  # temperatures (0 greedy) with their top_k


def edit_distance(first: np.ndarray, second: np.ndarray) -> int:
    """Levenshtein distance of ``first`` ``(T1,)`` and ``second`` ``(T2,)``."""
    places = np.arange(len(second) + 1)
    row = places.copy()
    for token in first:
        best = np.minimum(row[1:] + 1, row[:-1] + (second != token))
        best = np.concatenate([[row[0] + 1], best])
        # Insertions: a running minimum once each place's own cost is subtracted.
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def report_free_running(expdir: str | Path, data_dir: str | Path, *, num_utterances: int = 40) -> dict:
    """Synthesize some of a data directory's texts by each of :data:`SETTINGS`; ``free_running.json``.

    Edit distances are between sequences without repeats, as shares of the reference's length. Tokens depend
    somewhat on the voice, so two voices' distance on the same text is not zero either.

    Args:
        expdir: the trained experiment.
        data_dir: with ``text`` and ``semantic.scp``.
        num_utterances: texts to synthesize, evenly spread over the directory; 0 for an empty report.

    Returns:
        The report; the one already written, if there is one.
    """
    path = Path(expdir) / REPORT_FILE
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    if not num_utterances:
        report = {"data": str(data_dir), "utterances": 0, "results": []}
        write_text(path, json.dumps(report, indent=2) + "\n")
        return report
    kind, reader = load_semantic_generator(expdir)
    archive = TokenArchive(Path(data_dir) / "semantic.scp")
    reader.info.check_same(archive.info, str(expdir), str(archive.scp))
    texts = {utt: text for utt, text in read_table(Path(data_dir) / "text").items() if utt in archive}
    places = np.unique(np.linspace(0, len(texts) - 1, num_utterances).astype(int))
    chosen = [list(texts)[i] for i in places]
    references = [archive[utt].astype(np.int64) for utt in chosen]
    rows = []
    for temperature, top_k in SETTINGS:
        seeds = torch.randint(2**62, (len(chosen),), generator=torch.Generator().manual_seed(0)).tolist()
        config = text_kind_named(kind).sampling(temperature=temperature, top_k=top_k)
        results = reader.semantic_tokens([texts[utt] for utt in chosen], config, seeds=seeds)
        pairs = [(deduplicate(ref), deduplicate(hyp)) for ref, hyp in zip(references, results)]
        errors = sum(edit_distance(ref, hyp) for ref, hyp in pairs) / sum(len(ref) for ref, _ in pairs)
        ratio = sum(map(len, results)) / sum(map(len, references))
        rows.append(
            {"temperature": temperature, "top_k": top_k, "token_errors": errors, "length_ratio": ratio}
        )
        logger.info(
            "reading %d texts, temperature %g, top-k %d: %.1f %% token errors, %.2f times the length",
            len(chosen), temperature, top_k, 100 * errors, ratio,
        )  # fmt: skip
    report = {"data": str(data_dir), "utterances": len(chosen), "results": rows}
    write_text(path, json.dumps(report, indent=2) + "\n")
    return report
