"""Pocketsphinx as a recogniser, and the bigram language model that it can be given."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.scoring.intelligibility import Transcript
from soundstorm.scoring.text_normalization import scored_text

logger = logging.getLogger(__name__)


class PocketsphinxRecognizer:
    """The acoustic model inside the pocketsphinx package: independent of everything trained here.

    It is made for human speech; most eSpeak voices it does not understand.
    """

    name = "pocketsphinx"
    sample_rate = 16000

    def __init__(self, bigram_text: str | None = None):
        try:
            import pocketsphinx
        except ImportError as error:
            raise InputError(
                "the recogniser pocketsphinx is not installed; run: pip install pocketsphinx"
            ) from error
        if bigram_text is None:
            self._decoder = pocketsphinx.Decoder(loglevel="FATAL")
            return
        self.name = f"pocketsphinx, bigrams of {bigram_text}"
        dictionary = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
        known = {
            line.split(maxsplit=1)[0] for line in dictionary.read_text(encoding="utf-8").splitlines() if line
        }
        sentences = [scored_text(words).split() for words in read_table(bigram_text).values()]
        unknown = {word for sentence in sentences for word in sentence} - known
        if unknown:
            logger.warning(
                "pocketsphinx cannot pronounce %d words, e.g. %s", len(unknown), sorted(unknown)[:5]
            )
        with tempfile.NamedTemporaryFile("w", suffix=".arpa", encoding="utf-8") as arpa:
            arpa.write(bigram_arpa([[w for w in sentence if w in known] for sentence in sentences]))
            arpa.flush()
            self._decoder = pocketsphinx.Decoder(lm=arpa.name, dict=str(dictionary), loglevel="FATAL")

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings one by one."""
        return [self._transcribe(wav) for wav in wavs]

    def _transcribe(self, wav: np.ndarray) -> Transcript:
        self._decoder.start_utt()
        samples = np.clip(wav * 32767.0, -32768, 32767).astype("<i2")
        self._decoder.process_raw(samples.tobytes(), full_utt=True)
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return Transcript("", ())
        seconds = 1.0 / self._decoder.config["frate"]
        words = [
            (word, segment.start_frame * seconds)
            for segment in self._decoder.seg()
            # fillers are <s>, <sil>, [NOISE]; an alternative pronunciation is word(2)
            if not segment.word.startswith(("<", "[", "+"))
            for word in scored_text(segment.word.partition("(")[0]).split()
        ]
        return Transcript(" ".join(word for word, _ in words), tuple(start for _, start in words))


def bigram_arpa(sentences: Sequence[Sequence[str]]) -> str:
    """A closed-vocabulary bigram language model with absolute discounting, in ARPA format.

    Args:
        sentences: Words of each.
    """
    discount = 0.5
    counts: dict[str, dict[str, int]] = {}
    for sentence in sentences:
        if sentence:
            for first, second in zip(["<s>", *sentence], [*sentence, "</s>"]):
                row = counts.setdefault(first, {})
                row[second] = row.get(second, 0) + 1
    if not counts:
        raise InputError(
            "a language model needs at least one sentence of words that can be pronounced, got none"
        )
    unigrams: dict[str, int] = {}
    for row in counts.values():
        for word, count in row.items():
            unigrams[word] = unigrams.get(word, 0) + count
    total = sum(unigrams.values())
    lines = []
    for word in sorted(unigrams | {"<s>": 0}):
        row = counts.get(word, {})
        # What discounting leaves goes to unigrams of words that were not seen after this one.
        unseen = 1.0 - sum(unigrams[follower] for follower in row) / total
        left = discount * len(row) / sum(row.values()) if row else 1.0
        backoff = np.log10(max(left / unseen, 1e-9)) if row and unseen > 0 else 0.0
        probability = np.log10(unigrams[word] / total) if word in unigrams else -99.0
        lines.append(f"{probability:.5f} {word} {backoff:.5f}")
    bigrams = [
        f"{np.log10((count - discount) / sum(row.values())):.5f} {first} {second}"
        for first, row in sorted(counts.items())
        for second, count in sorted(row.items())
    ]
    header = ["\\data\\", f"ngram 1={len(lines)}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    return "\n".join([*header, *lines, "", "\\2-grams:", *bigrams, "", "\\end\\", ""])
