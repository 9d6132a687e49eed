"""Stage 6 by a system that makes samples of text, without tokens."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soundstorm.data.audio import Utterances, num_samples, write_audio
from soundstorm.data.data_dir import write_text
from soundstorm.decoding.acoustic_generator import TextReader
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.waveform import utterance_seed

logger = logging.getLogger(__name__)
ALIGNMENTS_FILE = "alignments.json"  # utterance -> figures, and of the first ones the alignment itself
DRAWN = 4


def decode_texts(
    texts: dict[str, str],
    data_dir: Path,
    output: Path,
    reader: TextReader,
    config: Any,
    *,
    prompt_seconds: float,
    seed: int,
    stopwatch: Stopwatch,
) -> None:
    """Write ``wav/`` and ``alignments.json``.

    Args:
        texts: utterance to words.
        data_dir: with the recordings that prompts are of.
        output: directory.
        reader, config: of the system.
        prompt_seconds: beginning of each recording that its speech begins with; 0 for none.
        seed: of the run.
        stopwatch: is told the time taken.
    """
    ids, prompts = list(texts), None
    if prompt_seconds:
        utterances = Utterances(data_dir, reader.sample_rate, ids, lower=True)
        size = num_samples(prompt_seconds, reader.sample_rate)
        prompts = [utterances.read(utt)[:size] for utt in ids]
    seeds = [utterance_seed(seed, utt) for utt in ids]
    words = [texts[utt] for utt in ids]
    spoken = reader.speak(words, config, seeds=seeds, prompts=prompts, stopwatch=stopwatch)
    for utt, speech in zip(ids, spoken, strict=True):
        write_audio(output / "wav" / f"{utt}.wav", speech.samples, reader.sample_rate)
    endless = [utt for utt, speech in zip(ids, spoken, strict=True) if not speech.figures["stopped"]]
    if endless:
        logger.warning(
            "%d of %d utterances did not end by themselves (%s, ...)", len(endless), len(ids), endless[0]
        )
    table: dict[str, dict] = {utt: dict(speech.figures) for utt, speech in zip(ids, spoken, strict=True)}
    for utt, speech in zip(ids[:DRAWN], spoken):
        table[utt]["attention"] = speech.alignment.astype(float).round(3).tolist()
    write_text(output / ALIGNMENTS_FILE, json.dumps(table) + "\n")


def long_enough(seconds: Mapping[str, float], least_seconds: float) -> list[str]:
    """Utterances as long as that; the others are named and left out."""
    ids = list(seconds)
    kept = [utt for utt in ids if seconds[utt] >= least_seconds]
    if len(kept) < len(ids):
        logger.warning(
            "%d of %d utterances last less than %g s", len(ids) - len(kept), len(ids), least_seconds
        )
    return kept
