"""CTC training of the scoring stage's own recogniser, on original recordings only."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundstorm.data.audio import Utterances
from soundstorm.data.sampler import Draw
from soundstorm.models.recognizer import BLANK, UNKNOWN, WORD_BOUNDARY, CtcRecognizer, encode_text
from soundstorm.models.recognizer_config import AugmentConfig
from soundstorm.training.trainer import Loss


def augment(wav: np.ndarray, config: AugmentConfig, generator: np.random.Generator) -> np.ndarray:
    """Change speed, level and noise of a recording, so that a small corpus goes a longer way.

    Args:
        wav: float32 (S,)
        config: How much of each.
        generator: All randomness comes from it.

    Returns:
        float32, (S / speed,)
    """
    speed = generator.uniform(1 - config.speed, 1 + config.speed)
    if config.speed:
        positions = np.arange(int(len(wav) / speed)) * speed
        wav = np.interp(positions, np.arange(len(wav)), wav)
    if generator.random() < config.noise_probability:
        snr = generator.uniform(*config.noise_snr)
        noise = generator.standard_normal(len(wav))
        if generator.random() < 0.5:  # half of it low, as rooms and machines hum, half white
            noise = np.convolve(noise, np.ones(8) / np.sqrt(8), mode="same")
        wav = wav + noise * np.sqrt(np.mean(wav**2) / np.mean(noise**2)) * 10 ** (-snr / 20)
    return (wav * 10 ** (generator.uniform(-config.gain, config.gain) / 20)).astype(np.float32)


def normalize(wav: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, exactly as transformers' Wav2Vec2FeatureExtractor does it."""
    return ((wav - wav.mean()) / np.sqrt(wav.var() + 1e-7)).astype(np.float32)


def span_mask(num_frames: int, share: float, span: int, generator: np.random.Generator) -> np.ndarray:
    """Frames to hide: spans at random places, about `share` of all frames if none overlapped; bool (T,)."""
    mask = np.zeros(num_frames, dtype=bool)
    for _ in range(generator.binomial(num_frames, min(1.0, share / span))):
        start = generator.integers(num_frames)
        mask[start : start + span] = True
    return mask


class RecognizerDataset:
    """Recordings with their characters."""

    def __init__(
        self,
        utterances: Utterances,
        texts: Mapping[str, str],
        vocabulary: dict[str, int],
        *,
        num_frames: Callable[[int], int],
        augmentation: AugmentConfig | None = None,
        do_normalize: bool = True,
        mask_share: float = 0.0,
        mask_span: int = 1,
    ):
        """Keep the utterances that have a text.

        Args:
            utterances: The recordings.
            texts: Utterance to normalised text.
            vocabulary: Characters to numbers.
            num_frames: Samples to frames of the network.
            augmentation: None for validation.
            do_normalize: Whether the HuBERT wants zero mean and unit variance.
            mask_share: Share of frames to hide; 0 for validation.
            mask_span: Frames hidden in one piece.
        """
        kept = [i for i, utt_id in enumerate(utterances.ids) if texts.get(utt_id)]
        if not kept:
            raise ValueError(
                f"none of {len(utterances.ids)} utterances has a text; a recogniser needs transcripts"
            )
        self.ids = [utterances.ids[i] for i in kept]
        self.durations = np.asarray(utterances.durations)[kept]
        self._utterances = utterances
        self._targets = {utt_id: encode_text(texts[utt_id], vocabulary) for utt_id in self.ids}
        self._num_frames = num_frames
        self._augmentation = augmentation
        self._do_normalize = do_normalize
        self._mask = (mask_share, mask_span)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        generator = np.random.default_rng(draw.seed)
        utt_id = self.ids[draw.index]
        wav = self._utterances.read(utt_id)
        if self._augmentation is not None:
            wav = augment(wav, self._augmentation, generator)
        if self._do_normalize:
            wav = normalize(wav)
        mask = span_mask(self._num_frames(len(wav)), *self._mask, generator)
        return {"wav": wav, "mask": mask, "target": self._targets[utt_id]}

    def collate(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad: wavs (B, S), lengths (B,), frames (B,), mask (B, T), targets (sum,), target_lengths (B,)."""
        wavs = [torch.from_numpy(item["wav"]) for item in items]
        masks = [torch.from_numpy(item["mask"]) for item in items]
        targets = [torch.tensor(item["target"]) for item in items]
        padded = nn.utils.rnn.pad_sequence(wavs, batch_first=True)
        return {
            "wavs": padded,
            "lengths": torch.tensor([len(wav) for wav in wavs]),
            "frames": torch.tensor([len(mask) for mask in masks]),
            "mask": nn.utils.rnn.pad_sequence(masks, batch_first=True),
            "targets": torch.cat(targets),
            "target_lengths": torch.tensor([len(target) for target in targets]),
        }


class RecognizerStep:
    """One CTC step."""

    phases = ("model",)

    def __init__(self, model: CtcRecognizer, vocabulary: dict[str, int]):
        self.networks: dict[str, nn.Module] = {"model": model}
        self._blank = vocabulary[BLANK]

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Negative log likelihood, to be divided by the number of target characters."""
        logits = networks["model"](batch["wavs"], batch["lengths"], batch["mask"])
        total = F.ctc_loss(
            logits.float().log_softmax(dim=-1).transpose(0, 1),  # (T, B, V)
            batch["targets"],
            batch["frames"],
            batch["target_lengths"],
            blank=self._blank,
            reduction="sum",
            zero_infinity=True,
        )
        weight = batch["target_lengths"].sum()
        return Loss(total=total, weight=weight, metrics={"ctc": (total.detach(), weight)})


def export_recognizer(
    model: CtcRecognizer,
    vocabulary: dict[str, int],
    directory: Path,
    *,
    sample_rate: int,
    do_normalize: bool,
) -> None:
    """Write a plain transformers directory: weights, feature extractor and tokenizer, whole or not at all.

    Args:
        model: The trained recogniser.
        vocabulary: Characters to numbers.
        directory: Where; replaced if it exists.
        sample_rate: Hz.
        do_normalize: Whether inputs are brought to zero mean and unit variance.
    """
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

    temporary = directory.with_name(f".{directory.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        vocabulary_file = temporary / "vocab.json"
        vocabulary_file.write_text(json.dumps(vocabulary, ensure_ascii=False, indent=0), encoding="utf-8")
        tokenizer = Wav2Vec2CTCTokenizer(
            str(vocabulary_file),
            bos_token=None,
            eos_token=None,
            unk_token=UNKNOWN,
            pad_token=BLANK,
            word_delimiter_token=WORD_BOUNDARY,
        )
        extractor = Wav2Vec2FeatureExtractor(
            sampling_rate=sample_rate, do_normalize=do_normalize, return_attention_mask=True
        )
        Wav2Vec2Processor(extractor, tokenizer).save_pretrained(str(temporary))
        model.fold_scale().save_pretrained(str(temporary))
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
