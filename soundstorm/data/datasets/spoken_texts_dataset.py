"""Transcripts with mel spectra of their recordings: the examples of Tacotron 2's feature network."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.data_dir_values import has_words
from soundstorm.data.datasets.audio_crop_dataset import CACHED_SECONDS
from soundstorm.data.datasets.dataset_parts import OfUtterances, lengths, pad
from soundstorm.data.errors import InputError
from soundstorm.data.mel_features import MelConfig, mel_features
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import TURN_MARKER, TextTokenizer

logger = logging.getLogger(__name__)


class SpokenTexts(OfUtterances):
    """One example per utterance of one voice with words; spectra of a small set are kept in memory."""

    def __init__(
        self,
        data_dir: str | Path,
        tokenizer: TextTokenizer,
        mel: MelConfig,
        *,
        reduction: int,
        speakers: Mapping[str, np.ndarray] | None = None,
        min_seconds: float = 0.0,
        max_seconds: float = float("inf"),
    ):
        """
        Args:
            data_dir: with ``wav.scp``, ``text`` and, for several voices, ``utt2spk``.
            tokenizer: of the texts.
            mel: of the spectra.
            reduction: frames to a step; what is left over at the end of an utterance is cut.
            speakers: speaker to embedding ``(D,)``; None where there is one voice.
            min_seconds, max_seconds: lengths of utterances to use.

        Raises:
            FileNotFoundError: no transcripts.
            ValueError: no utterance is left, or a speaker has no embedding.
        """
        data_dir = Path(data_dir)
        if not (data_dir / "text").is_file():
            raise FileNotFoundError(
                f"{data_dir / 'text'}: no such file; text to speech is learned from transcripts"
            )
        texts, every = read_table(data_dir / "text"), Utterances(data_dir, mel.sample_rate, lower=True)
        least = max(min_seconds, reduction / mel.frame_rate)
        chosen = [
            utt
            for utt, seconds in zip(every.ids, every.durations, strict=True)
            if least <= seconds <= max_seconds
            and has_words(texts.get(utt, ""))
            and TURN_MARKER not in texts[utt]
        ]
        if not chosen:
            raise InputError(
                f"{data_dir}: none of {len(every)} utterances has words of one voice and lasts {least:g} to "
                f"{max_seconds:g} s"
            )
        if len(chosen) < len(every):
            logger.info(
                "%s: %d of %d utterances have words, of one voice, in %g to %g s",
                data_dir, len(chosen), len(every), least, max_seconds,
            )  # fmt: skip
        self.utterances = every.part(chosen)
        self.durations, self.ids = self.utterances.durations, chosen
        self.mel, self.reduction = mel, reduction
        self.text = {utt: tokenizer.encode(texts[utt], where=f"{data_dir / 'text'}: {utt}") for utt in chosen}
        self.speakers = None
        if speakers is not None:
            self.speakers = {utt: speakers[name] for utt, name in read_speakers(data_dir, chosen).items()}
        self._caches = self.durations.sum() <= CACHED_SECONDS
        self._cache: dict[str, np.ndarray] = {}

    def features(self, utt: str) -> np.ndarray:
        """Log magnitudes ``(T, M)``, T a multiple of ``reduction``."""
        if utt in self._cache:
            return self._cache[utt]
        found = mel_features(self.utterances.read(utt), self.mel)
        found = found[: len(found) // self.reduction * self.reduction]
        if not len(found):
            raise InputError(f"{utt}: shorter than a step of {self.reduction} frames; remove it")
        if self._caches:
            self._cache[utt] = found
        return found

    def __getitem__(self, item: SeededIndex) -> dict[str, np.ndarray]:
        """``text`` ids ``(L,)``, ``features`` ``(T, M)``, with several voices ``speakers`` ``(D,)``."""
        utt = self.ids[item.index]
        example = {"text": self.text[utt], "features": self.features(utt)}
        if self.speakers is not None:
            example["speakers"] = self.speakers[utt]
        return example

    @staticmethod
    def collate(items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """Pad with zeros: ``text (B, L)``, ``features (B, T, M)``; with lengths, and ``speakers (B, D)``."""
        batch = {name: pad(item[name] for item in items) for name in ("text", "features")}
        batch["text_lengths"] = lengths(item["text"] for item in items)
        batch["lengths"] = lengths(item["features"] for item in items)
        if "speakers" in items[0]:
            batch["speakers"] = torch.from_numpy(np.stack([item["speakers"] for item in items]))
        return batch


def read_speakers(data_dir: str | Path, ids: Sequence[str]) -> dict[str, str]:
    """Utterance to speaker, of all of them.

    Raises:
        ValueError: one has no speaker.
    """
    table = read_table(Path(data_dir) / "utt2spk", ids)
    missing = [utt for utt in ids if utt not in table]
    if missing:
        raise InputError(
            f"{Path(data_dir) / 'utt2spk'}: no speaker of {missing[0]} (and {len(missing) - 1} more); run "
            f"utils/fix_data_dir.sh {data_dir}"
        )
    return table


def normal_values(dataset: SpokenTexts, utterances: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation ``(M,)`` of each band, over so many utterances evenly spaced."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), utterances)).astype(int))
    values = np.concatenate([dataset.features(dataset.ids[index]) for index in chosen]).astype(np.float64)
    return values.mean(0).astype(np.float32), np.maximum(values.std(0), 1e-3).astype(np.float32)
