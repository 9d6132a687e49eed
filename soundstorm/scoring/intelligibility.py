"""Word and character error rates of a system's output, as a recogniser transcribes it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from soundstorm.data.text import TURN_MARKER, normalize_text
from soundstorm.scoring.measures import Measured, Pair


@dataclass(frozen=True)
class Transcript:
    """Output of a recogniser. Word starts are in seconds, None where the recogniser gives none."""

    text: str
    word_starts: tuple[float, ...] | None = None


class Recognizer(Protocol):
    """Speech to text, whatever is behind it."""

    name: str
    sample_rate: int  # Hz

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings, each float32 (S,)."""
        ...


@dataclass(frozen=True)
class ErrorCount:
    """Errors of one utterance against the length of its reference."""

    errors: int
    length: int

    @property
    def rate(self) -> float:
        """Per cent; may exceed 100 because insertions count."""
        return 100.0 * self.errors / self.length


def scored_text(text: str, *, turn_marker: str = TURN_MARKER) -> str:
    """Lower case words separated by one space, without what a recogniser cannot hear.

    The turn marker between the speakers of a dialogue is not a word: it goes, and it parts the words
    around it. Punctuation goes, except an apostrophe inside a word; a hyphen parts words.
    """
    if turn_marker:
        text = text.replace(turn_marker, " ")
    text = normalize_text(text).replace("-", " ")
    kept = "".join(c for c in text if c.isalnum() or c.isspace() or c == "'" or _is_mark(c))
    words = (word.strip("'") for word in kept.split())
    return " ".join(word for word in words if word)


def _is_mark(character: str) -> bool:
    """Combining marks are part of a letter in many scripts."""
    return unicodedata.category(character).startswith("M")


def word_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Substitutions, deletions and insertions over the words of normalised texts."""
    return _count(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCount:
    """The same over characters, the space between words included, as in jiwer."""
    return _count(list(reference), list(hypothesis))


def word_errors_after(
    reference: str, hypothesis: str, word_starts: Sequence[float], *, prompt_seconds: float
) -> ErrorCount | None:
    """Word errors of the generated part alone: what follows the voice prompt.

    The hypothesis is cut at the first word that starts after the prompt, the reference where the best
    alignment of the whole utterance reaches that word.

    Returns:
        None if no word of the reference is left after the cut.
    """
    words = hypothesis.split()
    if len(words) != len(word_starts):
        raise ValueError(
            f"the recogniser gave {len(word_starts)} start times for {len(words)} words: {hypothesis!r}"
        )
    cut = int(np.searchsorted(np.asarray(word_starts), prompt_seconds))
    pairs = list(_alignment(reference.split(), words))
    spoken = [position for position, (_, word) in enumerate(pairs) if word is not None]
    after = pairs[spoken[cut] :] if cut < len(spoken) else []
    length = sum(reference_word is not None for reference_word, _ in after)
    if length == 0:
        return None
    return ErrorCount(sum(a != b for a, b in after), length)


def _count(reference: list[str], hypothesis: list[str]) -> ErrorCount:
    if not reference:
        raise ValueError("an error rate needs a reference with words; leave utterances without text out")
    output = _process(reference, hypothesis)
    return ErrorCount(output.substitutions + output.deletions + output.insertions, len(reference))


def _process(reference: list[str], hypothesis: list[str]):
    """jiwer's alignment of two token lists. Tokens are numbered first so that it splits on nothing."""
    import jiwer

    numbers = {token: str(i) for i, token in enumerate(dict.fromkeys(reference + hypothesis))}
    return jiwer.process_words(
        " ".join(numbers[token] for token in reference), " ".join(numbers[token] for token in hypothesis)
    )


def _alignment(reference: list[str], hypothesis: list[str]) -> Iterator[tuple[str | None, str | None]]:
    """The alignment as pairs; None stands for the missing side of an insertion or a deletion."""
    for chunk in _process(reference, hypothesis).alignments[0]:
        ours = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        theirs = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        for i in range(max(len(ours), len(theirs))):
            yield (ours[i] if i < len(ours) else None, theirs[i] if i < len(theirs) else None)


def read_references(texts: Mapping[str, str]) -> dict[str, str]:
    """Normalised references of the utterances that have words."""
    normalized = {utt_id: scored_text(text) for utt_id, text in texts.items()}
    return {utt_id: text for utt_id, text in normalized.items() if text}


class Intelligibility:
    """WER and CER of whole utterances, and WER after the prompt where word times are known."""

    def __init__(self, recognizer: Recognizer, *, prompt_seconds: float = 0.0, suffix: str = ""):
        """Args: the recogniser, the prompt's length (0: unprompted), a suffix for the metrics' names."""
        self._recognizer = recognizer
        self._prompt_seconds = prompt_seconds
        self._suffix = suffix

    def __call__(self, pair: Pair) -> Measured:
        """Transcribe the decoded recording and count errors; nothing without a reference."""
        if pair.text is None:
            return Measured()
        if pair.sample_rate != self._recognizer.sample_rate:
            raise ValueError(
                f"{self._recognizer.name} reads {self._recognizer.sample_rate} Hz, "
                f"but {pair.utt_id} has {pair.sample_rate} Hz; resample the corpus in local/data.sh"
            )
        (transcript,) = self._recognizer([pair.decoded])
        counts = {
            "wer": word_errors(pair.text, transcript.text),
            "cer": character_errors(pair.text, transcript.text),
        }
        if self._prompt_seconds and transcript.word_starts is not None:
            after = word_errors_after(
                pair.text, transcript.text, transcript.word_starts, prompt_seconds=self._prompt_seconds
            )
            if after is not None:
                counts["wer_after_prompt"] = after
        return Measured(
            values={
                f"{name}{self._suffix}": (100.0 * count.errors, float(count.length))
                for name, count in counts.items()
            },
            details={"text": pair.text, f"hypothesis{self._suffix}": transcript.text},
        )
