"""How well a classifier tells generated speech from the codec's round trip, crop by crop, as in AudioLM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from soundstorm.data.audio import Utterances, num_samples
from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.scoring.statistics import bootstrap
from soundstorm.scoring.system import read_decode_info
from soundstorm.scoring.text_normalization import scored_text
from soundstorm.tokens.merge import check_lost

logger = logging.getLogger(__name__)

Key = tuple[int, str]  # number of the set, utterance
Detect = Callable[[np.ndarray], np.ndarray]  # samples to logits of crops, above 0 for generated speech


def split_by_text(texts: Mapping[Key, str], train_share: float, seed: int) -> tuple[list[Key], list[Key]]:
    """Training and test utterances, so that no text is in both.

    Args:
        texts: utterance to its words.
        train_share: of the texts.
        seed: of the choice.

    Raises:
        ValueError: fewer than two texts.
    """
    names = sorted(set(texts.values()))
    if len(names) < 2:
        raise InputError(
            f"a detector needs utterances of two texts at least, got {len(names)}; use a larger test set"
        )
    number = min(max(1, round(train_share * len(names))), len(names) - 1)
    chosen = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:number]}
    train = [key for key in sorted(texts) if texts[key] in chosen]
    return train, [key for key in sorted(texts) if texts[key] not in chosen]


class DetectionPairs:
    """Utterances that are there as a codec round trip and as generated speech, in one or several sets."""

    def __init__(
        self,
        data_dirs: Sequence[str],
        real_dirs: Sequence[str],
        generated_dirs: Sequence[str],
        sample_rate: int,
    ):
        """
        Args:
            data_dirs: data directories, for the texts.
            real_dirs: of each, its decode directory of the codec round trip.
            generated_dirs: of each, that of the system. Its prompt is cut off both.
            sample_rate: Hz.
        """
        if not len(data_dirs) == len(real_dirs) == len(generated_dirs) > 0:
            raise InputError(
                f"got {len(data_dirs)} of --data-dir, {len(real_dirs)} of --real and {len(generated_dirs)} "
                "of --generated; expected as many of each, at least one"
            )
        self.sample_rate = sample_rate
        self.texts: dict[Key, str] = {}
        self._sources: list[tuple[Utterances, Utterances, float]] = []
        for number, directories in enumerate(zip(data_dirs, real_dirs, generated_dirs)):
            data_dir, real, generated = map(Path, directories)
            sources = tuple(Utterances(folder, sample_rate, lower=True) for folder in (real, generated))
            self._sources.append((*sources, read_decode_info(generated).prompt_seconds))
            words = read_table(data_dir / "text") if (data_dir / "text").is_file() else {}
            for utt in sorted(set(sources[0].ids) & set(sources[1].ids)):
                self.texts[number, utt] = scored_text(words.get(utt, "")) or f"{number} {utt}"

    def read(self, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Round trip and generated speech of an utterance, float32 (S,) each, without the prompt."""
        real, generated, prompt = self._sources[key[0]]
        return self._after(prompt, real.read(key[1])), self._after(prompt, generated.read(key[1]))

    def read_all(self, keys: Sequence[Key]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Round trips and generated speech of several utterances, as of :meth:`read`.

        What cannot be read is left out with a warning.

        Raises:
            ValueError: fewer than 95 % of the utterances can be read.
        """
        found = {}
        for number, utt in keys:
            try:
                found[f"{number}/{utt}"] = self.read((number, utt))
            except (ValueError, OSError) as error:
                logger.warning("%s is left out: %s", utt, error)
        places = dict.fromkeys(str(source.data_dir) for *pair, _ in self._sources for source in pair)
        expected = [f"{number}/{utt}" for number, utt in keys]
        check_lost(expected, found, f"{', '.join(places)}, detection", "speech")
        real, generated = zip(*found.values())
        return list(real), list(generated)

    def _after(self, seconds: float, wav: np.ndarray) -> np.ndarray:
        return wav[num_samples(min(seconds, len(wav) / self.sample_rate), self.sample_rate) :]


def count_correct(detect: Detect, real: np.ndarray, generated: np.ndarray) -> tuple[int, int]:
    """Crops of one utterance that are classified correctly, and all its crops.

    As many of the recording count as of the generated speech.
    """
    logits = detect(real), detect(generated)
    number = min(map(len, logits))
    right = int((logits[0][:number] <= 0).sum() + (logits[1][:number] > 0).sum())
    return right, 2 * number


def measure_detection(
    system: str,
    pairs: DetectionPairs,
    detect: Detect,
    held_out: Sequence[Key],
    *,
    trained_on: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    crop_seconds: float,
    seed: int,
) -> dict[str, Any]:
    """Test a detector of one system on texts that it was not trained on.

    Args:
        system: name of the row.
        pairs: the utterances.
        detect: the detector.
        held_out: utterances to test on.
        trained_on: round trips and generated speech of the training, for the record.
        crop_seconds: what the detector looks at, for the record.
        seed: of the bootstrap over test utterances.

    Returns:
        Accuracy in per cent with its interval, and counts.

    Raises:
        ValueError: no test utterance is as long as a crop.
    """
    counts = [count_correct(detect, *pair) for pair in zip(*pairs.read_all(held_out))]
    counts = [(right, number) for right, number in counts if number]
    if not counts:
        raise InputError(
            f"{system}: no test utterance holds a crop of {crop_seconds:g} s; lower model.crop_seconds"
        )
    right, numbers = zip(*counts)
    accuracy = bootstrap([100.0 * r for r in right], numbers, seed=seed)
    logger.info("%s: %.1f %% of %d crops", system, accuracy.value, sum(numbers))
    seconds = min(sum(map(len, wavs)) for wavs in trained_on) / pairs.sample_rate
    return {
        "system": system,
        "accuracy": asdict(accuracy),
        "crop_seconds": crop_seconds,
        "train_utterances": len(trained_on[0]),
        "train_crops": 2 * int(seconds / crop_seconds),
        "test_utterances": len(counts),
        "test_crops": sum(numbers),
    }
