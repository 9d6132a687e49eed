"""Transcripts with their semantic tokens: the examples of text-to-semantic training."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.archive import TokenArchive
from soundstorm.data.data_dir import read_table
from soundstorm.data.sampler import Draw
from soundstorm.data.text import TURN_MARKER, TextTokenizer

logger = logging.getLogger(__name__)
HIDDEN = -1  # in ``inputs``: a previous token the decoder may not see


class TextSemanticDataset:
    """One example per utterance of a data directory that has text and semantic tokens.

    Semantic tokens are not deduplicated (SoundStorm section 5): a token is a frame. So the previous token predicts the
    next one well, and a decoder may learn to repeat instead of to read; hiding or replacing stretches of the previous
    tokens takes that way out from it.
    """

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
            join_probability: share of examples with a second utterance of the speaker appended, within max_seconds:
                this is how a model of single sentences learns to go on after a prompt.
            token_dropout, token_noise: largest share of previous tokens hidden, and replaced by tokens from elsewhere
                in the utterance; every example draws its own shares below these.
            noise_span: mean length of such stretches, in frames.
        """
        data_dir = Path(data_dir)
        self.archive = TokenArchive(tokens or data_dir / "semantic.scp")
        if self.archive.info.kind != "semantic":
            raise ValueError(f"{self.archive.scp}: holds {self.archive.info.kind} tokens, expected semantic tokens")
        self.info = self.archive.info
        self.join_probability, self.max_seconds = join_probability, max_seconds
        self.token_dropout, self.token_noise, self.noise_span = token_dropout, token_noise, noise_span
        text_file = data_dir / "text"
        if not text_file.is_file():
            raise FileNotFoundError(f"{text_file}: no such file; text-to-semantic training needs transcripts")
        texts = read_table(text_file)
        self.ids, self.durations = self._choose(text_file, texts, min_seconds, max_seconds)
        self._texts = [tokenizer.encode(texts[utt], where=f"{text_file}: {utt}") for utt in self.ids]
        self._join_texts = tokenizer.encode
        self._raw_texts = [texts[utt] for utt in self.ids]
        self._partners = self._same_speaker(data_dir) if join_probability else []

    def _choose(self, text_file: Path, texts: dict, shortest: float, longest: float) -> tuple[list[str], np.ndarray]:
        both = [utt for utt in texts if utt in self.archive]
        if len(both) < len(texts):
            share = len(both) / len(texts)
            few = f"{len(texts) - len(both)} of {len(texts)} utterances"
            lost = f"{text_file}: {few} have no tokens in {self.archive.scp}"
            if share < 0.95:
                raise ValueError(f"{lost}, fewer than 5 % expected; extract the semantic tokens again")
            logger.warning("%s", lost)
        lengths = self.archive.frames() / self.info.frame_rate
        seconds = {utt: lengths[self.archive.keys.row(utt)] for utt in both}
        ids = [utt for utt in both if shortest <= seconds[utt] <= longest]
        if not ids:
            raise ValueError(f"{text_file}: none of {len(both)} utterances lasts between {shortest} and {longest} s")
        if len(ids) < len(both):
            logger.info("%s: %d of %d utterances last %g to %g s", text_file, len(ids), len(both), shortest, longest)
        return ids, np.array([seconds[utt] for utt in ids])

    def _same_speaker(self, data_dir: Path) -> list[np.ndarray]:
        speakers = read_table(data_dir / "utt2spk")
        by_speaker: dict[str, list[int]] = {}
        for index, utt in enumerate(self.ids):
            by_speaker.setdefault(speakers.get(utt, utt), []).append(index)
        return [np.array(by_speaker[speakers.get(utt, utt)]) for utt in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def pace(self) -> tuple[float, float]:
        """Frames per text id of slow and of fast speech here: the 99th and the 1st percentile."""
        frames = self.durations * self.info.frame_rate
        rates = frames / np.array([len(text) for text in self._texts])
        slow, fast = np.percentile(rates, [99, 1])
        return round(float(slow), 3), round(float(fast), 3)

    def __getitem__(self, draw: Draw) -> dict[str, np.ndarray]:
        """``text`` ids ``(L,)``, ``tokens`` ``(T,)`` and ``inputs`` ``(T,)``: the tokens as the decoder sees them."""
        rng = np.random.default_rng(draw.seed)
        text = self._texts[draw.index]
        tokens = self.archive[self.ids[draw.index]].astype(np.int64)
        if self.join_probability and rng.random() < self.join_probability:
            second = int(rng.choice(self._partners[draw.index]))
            # Turns stay turns: a dialogue is not continued by a sentence of one of its speakers.
            dialogue = any(TURN_MARKER in self._raw_texts[index] for index in (draw.index, second))
            if not dialogue and self.durations[[draw.index, second]].sum() <= self.max_seconds:
                text = self._join_texts(f"{self._raw_texts[draw.index]} {self._raw_texts[second]}")
                tokens = np.concatenate([tokens, self.archive[self.ids[second]].astype(np.int64)])
        noise = {"dropout": self.token_dropout, "noise": self.token_noise, "span": self.noise_span}
        return {"text": text, "tokens": tokens, "inputs": disturb(tokens, rng, **noise)}

    def collate(self, items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """See :func:`collate_examples`."""
        return collate_examples(items)


def disturb(
    tokens: np.ndarray, rng: np.random.Generator, *, dropout: float, noise: float, span: float
) -> np.ndarray:
    """Previous tokens ``(T,)`` as the decoder sees them in training; see :class:`TextSemanticDataset`."""
    inputs = tokens.copy()
    replaced = _stretches(len(tokens), noise * rng.random(), span, rng)
    inputs[replaced] = rng.choice(tokens, int(replaced.sum()))
    inputs[_stretches(len(tokens), dropout * rng.random(), span, rng)] = HIDDEN
    return inputs


def collate_examples(items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """Pad with zeros: ``text`` ``(B, L)``, ``tokens`` and ``inputs`` ``(B, T)``, ``text_lengths``, ``lengths``."""
    batch = {name: _pad([item[name] for item in items]) for name in ("text", "tokens", "inputs")}
    batch["text_lengths"] = torch.tensor([len(item["text"]) for item in items])
    batch["lengths"] = torch.tensor([len(item["tokens"]) for item in items])
    return batch


def _stretches(length: int, share: float, mean_span: float, rng: np.random.Generator) -> np.ndarray:
    """A mask ``(length,)`` with about ``share`` True in runs of ``mean_span`` frames on average: a two-state chain."""
    if share <= 0:
        return np.zeros(length, dtype=bool)
    leave = 1.0 / mean_span
    enter = min(1.0, leave * share / max(1.0 - share, 1e-6))
    draws, mask = rng.random(length), np.empty(length, dtype=bool)
    inside = rng.random() < share
    for frame in range(length):
        mask[frame] = inside
        inside = draws[frame] >= leave if inside else draws[frame] < enter
    return mask


def _pad(rows: list[np.ndarray]) -> Tensor:
    out = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.int64)
    for row, values in zip(out, rows):
        row[: len(values)] = torch.from_numpy(values)
    return out
