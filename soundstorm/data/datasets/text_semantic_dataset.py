"""Transcripts with their semantic tokens: the examples of text-to-semantic training."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from soundstorm.data.archive import TokenArchive
from soundstorm.data.data_dir_values import MOST_PACE, MOST_TIMES_PACE, has_words
from soundstorm.data.datasets.dataset_parts import OfUtterances, lengths, pad, within_seconds
from soundstorm.data.errors import InputError
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.table_index import MISSING, Lines, read_values
from soundstorm.data.text import TURN_MARKER, TextTokenizer, normalize_text

logger = logging.getLogger(__name__)
MOST_TEXTS_CHECKED = 100_000  # before training: to see that they can be read, and how fast they are spoken
HIDDEN = -1  # in ``inputs``: a previous token the decoder may not see


def collate_examples(items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """Pad with zeros: ``text (B, L)``, ``tokens`` and ``inputs (B, T)``, ``text_lengths``, ``lengths``."""
    batch = {name: pad(item[name] for item in items) for name in ("text", "tokens", "inputs")}
    batch["text_lengths"] = lengths(item["text"] for item in items)
    batch["lengths"] = lengths(item["tokens"] for item in items)
    return batch


class TextSemanticDataset(OfUtterances):
    """One example per utterance of a data directory that has text and semantic tokens.

    Semantic tokens are not deduplicated (SoundStorm's dialogue synthesis): a token is a frame. So the previous token
    predicts the next one well, and a decoder may learn to repeat instead of to read; hiding or replacing
    spans of the previous tokens takes that way out from it.
    """

    collate = staticmethod(collate_examples)

    def __init__(
        self,
        data_dir: str | Path,
        tokenizer: TextTokenizer,
        *,
        tokens: str | Path | None = None,
        min_seconds: float = 0.0,
        max_seconds: float = float("inf"),
        join_probability: float = 0.0,
        token_dropout: float = 0.0,
        token_noise: float = 0.0,
        noise_span: float = 1.0,
    ):
        """
        Args:
            data_dir: with ``text``, ``utt2spk`` where utterances are joined, and
            tokens: semantic tokens, or ``semantic.scp`` of the data directory.
            tokenizer: of the text.
            min_seconds, max_seconds: lengths of utterances to use.
            join_probability: share of examples with a second utterance of the speaker appended, within
                max_seconds: this is how a model of single sentences learns to go on after a prompt.
            token_dropout, token_noise: largest share of previous tokens hidden, and replaced by tokens from
                elsewhere in the utterance; every example draws its own shares below these.
            noise_span: mean length of such spans, in frames.
        """
        data_dir = Path(data_dir)
        self.archive = TokenArchive(tokens or data_dir / "semantic.scp")
        self.archive.require_semantic()
        self.info = self.archive.info
        self.join_probability, self.max_seconds = join_probability, max_seconds
        self.token_dropout, self.token_noise, self.noise_span = token_dropout, token_noise, noise_span
        text_file = data_dir / "text"
        if not text_file.is_file():
            raise FileNotFoundError(f"{text_file}: no such file; text-to-semantic training needs transcripts")
        self._texts, self._tokenizer = Lines(text_file), tokenizer
        self._rows, self.durations = self._choose(text_file, min_seconds, max_seconds)
        self.ids = self._texts.keys.at(self._rows)
        self._checked = np.linspace(0, len(self) - 1, min(len(self), MOST_TEXTS_CHECKED)).astype(int)
        self._ids_in_text = np.array([len(self._text_ids(index)) for index in self._checked])
        if join_probability:
            self._group_by_speaker(data_dir)

    def _choose(self, text_file: Path, shortest: float, longest: float) -> tuple[np.ndarray, np.ndarray]:
        """Lines of the texts that are used, and their seconds."""
        tokens = self.archive.keys.rows(self._texts.keys.names)
        both = np.flatnonzero(tokens != MISSING)
        if len(both) < len(tokens):
            share = len(both) / len(tokens)
            few = f"{len(tokens) - len(both)} of {len(tokens)} utterances"
            lost = f"{text_file}: {few} have no tokens in {self.archive.scp}"
            if share < 0.95:
                raise InputError(f"{lost}, fewer than 5 % expected; extract the semantic tokens again")
            logger.warning("%s", lost)
        seconds = (self.archive.frames() / self.info.frame_rate)[tokens[both]]
        inside = within_seconds(seconds, shortest, longest, text_file)
        rows, seconds = both[inside], seconds[inside]
        self.batch_lengths = self._lengths_with_letters(text_file, rows, seconds)
        return rows, seconds

    def _lengths_with_letters(self, text_file: Path, rows: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """What a batch is made by: seconds, or more where a text has more letters than fit into them."""
        letters = np.array([sum(map(str.isalnum, self._texts[row])) for row in rows])
        wordless = [row for n, row in zip(letters, rows) if not n and not has_words(self._texts[row])]
        if wordless:
            raise InputError(
                f"{text_file}: {self._named(wordless)}: nothing to pronounce in {len(wordless)} of {len(rows)} "
                "transcripts; give them words or remove them"
            )
        fastest = max(MOST_PACE, MOST_TIMES_PACE * float(np.median(letters / seconds)))  # letters a second
        fast = letters > fastest * seconds
        if fast.any():
            logger.warning("%s: %d of %d transcripts have more than %.3g letters a second, which nobody says (%s); "
                           "do they belong to their audio?",
                           text_file, fast.sum(), len(rows), fastest, self._named(rows[fast]))  # fmt: skip
        return np.maximum(seconds, letters / fastest)

    def _named(self, rows: Sequence[int]) -> str:
        return ", ".join(self._texts.keys[row] for row in rows[:10]) + (", ..." if len(rows) > 10 else "")

    def _group_by_speaker(self, data_dir: Path) -> None:
        """Number the speakers: those of examples, and the examples of each, one speaker after the other."""
        names, speakers = read_values(data_dir / "utt2spk")
        rows = names.rows(self.ids.names)
        known = np.where(rows == MISSING, self.ids.names, speakers[rows])
        _, self._speaker = np.unique(known, return_inverse=True)
        self._by_speaker = np.argsort(self._speaker, kind="stable")
        self._first_of_speaker = np.append(0, np.cumsum(np.bincount(self._speaker)))

    def _partners(self, index: int) -> np.ndarray:
        """Examples of the same speaker."""
        speaker = self._speaker[index]
        return self._by_speaker[self._first_of_speaker[speaker] : self._first_of_speaker[speaker + 1]]

    def _text(self, index: int) -> str:
        return self._texts[self._rows[index]]

    def _text_ids(self, index: int) -> np.ndarray:
        return self._tokenizer.encode(self._text(index), where=f"{self._texts.path}: {self.ids[index]}")

    def speaking_rates(self) -> tuple[float, float]:
        """Frames per text id of slow and of fast speech here: the 99th and the 1st percentile."""
        rates = self.durations[self._checked] * self.info.frame_rate / self._ids_in_text
        slow, fast = np.percentile(rates, [99, 1])
        return round(float(slow), 3), round(float(fast), 3)

    def characters(self) -> str:
        """Those of the texts as they are read, each once."""
        seen: set[str] = set()
        for index in self._checked:
            seen.update(normalize_text(self._text(index), lowercase=self._tokenizer.lowercase))
        return "".join(sorted(seen))

    def __getitem__(self, item: SeededIndex) -> dict[str, np.ndarray]:
        """``text`` ids ``(L,)``, ``tokens`` ``(T,)``, and ``inputs`` ``(T,)`` as the decoder sees them."""
        rng = np.random.default_rng(item.seed)
        text = self._text_ids(item.index)
        tokens = self.archive[self.ids[item.index]].astype(np.int64)
        if self.join_probability and rng.random() < self.join_probability:
            second = int(rng.choice(self._partners(item.index)))
            # Turns stay turns: a dialogue is not continued by a sentence of one of its speakers.
            first_text, second_text = self._text(item.index), self._text(second)
            dialogue = TURN_MARKER in first_text or TURN_MARKER in second_text
            if not dialogue and self.durations[[item.index, second]].sum() <= self.max_seconds:
                text = self._tokenizer.encode(f"{first_text} {second_text}")
                tokens = np.concatenate([tokens, self.archive[self.ids[second]].astype(np.int64)])
        noise = {"dropout": self.token_dropout, "noise": self.token_noise, "span": self.noise_span}
        return {"text": text, "tokens": tokens, "inputs": corrupt(tokens, rng, **noise)}


def corrupt(
    tokens: np.ndarray, rng: np.random.Generator, *, dropout: float, noise: float, span: float
) -> np.ndarray:
    """Previous tokens ``(T,)`` as the decoder sees them in training; see :class:`TextSemanticDataset`."""
    inputs = tokens.copy()
    replaced = _span_mask(len(tokens), noise * rng.random(), span, rng)
    inputs[replaced] = rng.choice(tokens, int(replaced.sum()))
    inputs[_span_mask(len(tokens), dropout * rng.random(), span, rng)] = HIDDEN
    return inputs


def _span_mask(length: int, ratio: float, mean_span: float, rng: np.random.Generator) -> np.ndarray:
    """A mask ``(length,)``, about ``ratio`` True, in runs of ``mean_span`` frames: a two-state chain."""
    if ratio <= 0:
        return np.zeros(length, dtype=bool)
    # No gap is shorter than a frame: a share above span / (span + 1) needs longer spans.
    end_probability = min(1.0 / mean_span, (1.0 - ratio) / ratio)
    start_probability = end_probability * ratio / max(1.0 - ratio, 1e-6)
    draws, mask = rng.random(length), np.empty(length, dtype=bool)
    inside = rng.random() < ratio
    for frame in range(length):
        mask[frame] = inside
        inside = draws[frame] >= end_probability if inside else draws[frame] < start_probability
    return mask
