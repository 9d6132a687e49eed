"""Word and character error rates of a system's output, as a recogniser transcribes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.scoring.measures import Measured, Pair
from soundstorm.scoring.text_normalization import scored_text


@dataclass(frozen=True)
class Transcript:
    """Output of a recogniser. Word starts are in seconds, None where the recogniser gives none."""

    text: str  # as of `scored_text`
    word_starts: tuple[float, ...] | None = None
    written: str | None = None  # with case and marks, of a recogniser that writes them
    written_starts: tuple[float, ...] | None = None  # of the words of `written`, parted by blanks


class Recognizer(Protocol):
    """Speech to text, whatever is behind it."""

    name: str
    sample_rate: int  # Hz
    # One that works on several recordings at a time says on how many, `batch_size: int`; one that works longer for the
    # times of words has `without_times(wavs)` too.

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

    The best alignment of the whole utterance is cut behind the last word that starts within the prompt, so that
    words which were lost between it and the next count as lost after the prompt, as do all that follow if nothing
    more is heard. Where no word is heard within the prompt, those lost before the first count as the prompt's.

    Returns:
        None if no word of the reference is left after the cut.
    """
    words = hypothesis.split()
    if len(words) != len(word_starts):
        raise InputError(
            f"the recogniser gave {len(word_starts)} start times for {len(words)} words: {hypothesis!r}"
        )
    cut = int(np.searchsorted(np.asarray(word_starts), prompt_seconds))
    pairs = list(_alignment(reference.split(), words))
    spoken = [position for position, (_, word) in enumerate(pairs) if word is not None]
    begin = spoken[cut - 1] + 1 if cut else next(iter(spoken), 0)
    after = pairs[begin:]
    length = sum(reference_word is not None for reference_word, _ in after)
    if length == 0:
        return None
    return ErrorCount(sum(a != b for a, b in after), length)


def _count(reference: list[str], hypothesis: list[str]) -> ErrorCount:
    if not reference:
        raise InputError("an error rate needs a reference with words; leave utterances without text out")
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


def normalized(transcript: Transcript, normalize: Callable[[str], str], prompt_seconds: float) -> Transcript:
    """A transcript in another form: of words' times is left whether they are before the prompt's end."""
    if normalize is scored_text:
        return transcript
    if transcript.word_starts is None:
        return Transcript(normalize(transcript.written or transcript.text))
    words, times = transcript.text.split(), transcript.word_starts
    if transcript.written is not None and transcript.written_starts is not None:
        words, times = transcript.written.split(), transcript.written_starts
    cut = int(np.searchsorted(np.asarray(times), prompt_seconds))
    parts = [normalize(" ".join(part)).split() for part in (words[:cut], words[cut:])]
    starts = (0.0,) * len(parts[0]) + (prompt_seconds,) * len(parts[1])
    return Transcript(" ".join(parts[0] + parts[1]), starts)


class Intelligibility:
    """WER and CER of whole utterances, and WER after the prompt where word times are known."""

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        prompt_seconds: float = 0.0,
        suffix: str = "",
        normalize: Callable[[str], str] = scored_text,
    ):
        """
        Args:
            recognizer: what reads.
            prompt_seconds: length of the prompt, 0 of an unprompted system.
            suffix: of the metrics' names.
            normalize: what references have been brought to one form by.
        """
        self._recognizer, self._normalize = recognizer, normalize
        self._prompt_seconds = prompt_seconds
        self._suffix = suffix
        self._ahead: dict[str, Transcript] = {}

    def read_ahead(self, pairs: Sequence[Pair]) -> None:
        """Transcribe several utterances at a time, for the calls that follow."""
        if getattr(self._recognizer, "batch_size", 1) > 1:
            usable = [pair for pair in pairs if self._is_readable(pair)]
            found = self._read([pair.decoded for pair in usable])
            self._ahead = {pair.utt_id: transcript for pair, transcript in zip(usable, found)}

    def _read(self, wavs: list[np.ndarray]) -> list[Transcript]:
        """Times of words only where something depends on them, if they cost the recogniser anything."""
        if not self._prompt_seconds and hasattr(self._recognizer, "without_times"):
            return self._recognizer.without_times(wavs)
        return self._recognizer(wavs)

    def _is_readable(self, pair: Pair) -> bool:
        return pair.text is not None and pair.sample_rate == self._recognizer.sample_rate

    def __call__(self, pair: Pair) -> Measured:
        """Transcribe the decoded recording and count errors; undefined without a word in the reference."""
        if pair.text is None:
            reason = "no word in its transcript"
            return Measured(undefined={f"{name}{self._suffix}": reason for name in ("wer", "cer")})
        if pair.sample_rate != self._recognizer.sample_rate:
            raise InputError(
                f"{self._recognizer.name} reads {self._recognizer.sample_rate} Hz, "
                f"but {pair.utt_id} has {pair.sample_rate} Hz; resample the corpus in local/data.sh"
            )
        transcript = self._ahead.pop(pair.utt_id, None) or self._read([pair.decoded])[0]
        transcript = normalized(transcript, self._normalize, self._prompt_seconds)
        counts = {
            "wer": word_errors(pair.text, transcript.text),
            "cer": character_errors(pair.text, transcript.text),
        }
        undefined = {}
        if self._prompt_seconds and transcript.word_starts is not None:
            after = word_errors_after(
                pair.text, transcript.text, transcript.word_starts, prompt_seconds=self._prompt_seconds
            )
            if after is None:
                undefined[f"wer_after_prompt{self._suffix}"] = "no word of its transcript follows the prompt"
            else:
                counts["wer_after_prompt"] = after
        return Measured(
            values={
                f"{name}{self._suffix}": (100.0 * count.errors, float(count.length))
                for name, count in counts.items()
            },
            details={"text": pair.text, f"hypothesis{self._suffix}": transcript.text},
            undefined=undefined,
        )
