"""The music section of a report: every system's continuations beside the true ones and beside other pieces."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soundstorm.data.audio import Utterances, num_samples, resample
from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.scoring.frechet import Gaussian, frechet_distance, gaussian_of, windows_of
from soundstorm.scoring.measures import evenly_spaced
from soundstorm.scoring.music import Note, key_consistency, onset_f1, tempo, tempo_ratio
from soundstorm.scoring.statistics import bootstrap
from soundstorm.scoring.system import read_decode_info
from soundstorm.tokens.features import FeatureExtractor

logger = logging.getLogger(__name__)
ORIGINAL, OTHER = "Original (true continuation)", "Another piece"
TOLD = ("codec", "semantic")  # sources of systems that are told what to play
FRECHET_SECONDS = 1.0  # window of features
REFERENCE_UTTERANCES = 100  # of a set that the distance is measured from
Read = Callable[[str], np.ndarray]
Transcribe = Callable[[np.ndarray, int], list[Note]]


@dataclass(frozen=True)
class MusicTask:
    """What is measured, the same for all systems; an encoder of another rate hears what was read at this one."""

    data_dir: str
    prompt_seconds: float
    window_seconds: float
    sample_rate: int = 16000


class MusicMeasurement:
    """Figures of several systems on one test set.

    Args:
        task: the test set.
        transcribe: notes of a recording; None: notes are not compared.
        features: encoder of the Fréchet distance, with the recordings it is measured from, at the task's rate;
            None: without it.
    """

    def __init__(
        self,
        task: MusicTask,
        transcribe: Transcribe | None = None,
        features: tuple[FeatureExtractor, Sequence[np.ndarray]] | None = None,
    ):
        self.task, self._transcribe = task, transcribe
        self._originals = Utterances(task.data_dir, task.sample_rate, lower=True)
        table = read_table(Path(task.data_dir) / "utt2spk")
        self._works = {utt: table.get(utt, utt) for utt in self._originals.ids}
        self._notes: dict[str, list[Note]] = {}
        self._encoder = features[0] if features else None
        self._reference = self._gaussian("reference", features[1]) if features else None

    def rows(self, decode_dirs: Sequence[str]) -> list[dict[str, Any]]:
        """Figures of the true continuations, of other pieces, and of each decode directory."""
        sources, ids = self._shared(decode_dirs)
        rows = [self._row(ORIGINAL, ids, self._originals.read, told=False)]
        others = of_another_work({utt: self._works[utt] for utt in ids})
        if others:
            rows.append(self._row(OTHER, list(others), lambda utt: self._originals.read(others[utt]), told=True))
        for directory, source in zip(decode_dirs, sources, strict=True):
            info = read_decode_info(Path(directory))
            rows.append(self._row(info.require_title(), ids, source.read, told=info.source in TOLD))
        return rows

    def rolls(self, decode_dirs: Sequence[str]) -> dict[str, list[Note]]:
        """Notes of the first utterance, as each system plays it; empty without a transcriber."""
        if self._transcribe is None:
            return {}
        sources, (utt, *_) = self._shared(decode_dirs)
        titles = [read_decode_info(Path(directory)).require_title() for directory in decode_dirs]
        found = [self._transcribe(source.read(utt), self.task.sample_rate) for source in sources]
        return {ORIGINAL: self._notes_of(utt), **dict(zip(titles, found, strict=True))}

    def _shared(self, decode_dirs: Sequence[str]) -> tuple[list[Utterances], list[str]]:
        """The systems' outputs, and the utterances that all of them have."""
        sources, ids = [], list(self._originals.ids)
        for directory in decode_dirs:
            sources.append(Utterances(directory, self.task.sample_rate, lower=True))
            ids = [utt for utt in ids if utt in sources[-1].ids]
            if not ids:
                raise InputError(
                    f"{directory}: no utterance of {self.task.data_dir} in it, or none that the systems before it "
                    "have; was it decoded from there?"
                )
        return sources, ids

    def _gaussian(self, title: str, wavs: Sequence[np.ndarray]) -> Gaussian:
        rate = self.task.sample_rate
        whole = [wav for wav in wavs if len(wav) >= FRECHET_SECONDS * rate]
        if len(whole) < len(wavs):
            logger.warning(
                "%s: %d of %d stretches are shorter than %g s and left out of the Fréchet distance",
                title, len(wavs) - len(whole), len(wavs), FRECHET_SECONDS,
            )  # fmt: skip
        heard = (resample(wav, rate, self._encoder.sample_rate) for wav in whole)
        return gaussian_of(windows_of(self._encoder, heard, FRECHET_SECONDS))

    def _notes_of(self, utt: str) -> list[Note]:
        if utt not in self._notes:
            self._notes[utt] = self._transcribe(self._originals.read(utt), self.task.sample_rate)
        return self._notes[utt]

    def _row(self, title: str, ids: Sequence[str], read: Read, *, told: bool) -> dict[str, Any]:
        rate, curves, rests = self.task.sample_rate, [], []
        values: dict[str, dict[str, float]] = {"key": {}, "tempo": {}, "onset_f1": {}}
        cut = num_samples(self.task.prompt_seconds, rate)
        for utt in ids:
            prompt, wav = self._originals.read(utt)[:cut], read(utt)
            rest = wav[cut:]
            rests.append(rest)
            curve = key_consistency(prompt, rest, rate, window_seconds=self.task.window_seconds)
            curves.append(curve)
            if heard := [value for value in curve if value is not None]:
                values["key"][utt] = float(np.mean(heard))
            tempos = tempo(prompt, rate), tempo(rest, rate)
            if None not in tempos:
                values["tempo"][utt] = tempo_ratio(*tempos)
            if told and self._transcribe is not None:
                f1 = onset_f1(after(self._notes_of(utt), self.task.prompt_seconds),
                              after(self._transcribe(wav, rate), self.task.prompt_seconds))  # fmt: skip
                if f1 is not None:
                    values["onset_f1"][utt] = f1
        metrics: dict[str, Any] = {name: self._estimate(found) for name, found in values.items() if found}
        if self._encoder is not None:
            found = self._gaussian(title, rests)
            metrics["frechet"] = {"value": frechet_distance(self._reference, found), "windows": found.count}
        logger.info("%s: %s", title, ", ".join(f"{name} {m['value']:.3g}" for name, m in metrics.items()))
        return {"system": title, "metrics": metrics, "curve": mean_curve(curves)}

    def _estimate(self, found: Mapping[str, float]) -> dict[str, float]:
        # Pieces of one work are not independent: works are drawn first.
        works = [self._works.get(utt, utt) for utt in found]
        return asdict(bootstrap(list(found.values()), speakers=works))


def of_another_work(works: Mapping[str, str]) -> dict[str, str]:
    """For each utterance one of another work, where there is one: each once, unless most are of a single work.

    Args:
        works: work of each utterance.
    """
    ids = sorted(works, key=works.__getitem__)
    step, found = max(Counter(works.values()).values()), {}
    for place, utt in enumerate(ids):
        others = [name for name in ids if works[name] != works[utt]]
        if others:
            other = ids[(place + step) % len(ids)]
            found[utt] = other if other in others else others[place % len(others)]
    return found


def after(notes: Sequence[Note], seconds: float) -> list[Note]:
    """The notes that begin after a prompt."""
    return [note for note in notes if note.onset >= seconds]


def mean_curve(curves: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Key consistency of the first window, of the second one, and so on, in the mean of all utterances."""
    longest = max(map(len, curves), default=0)
    columns = [[c[k] for c in curves if k < len(c) and c[k] is not None] for k in range(longest)]
    return [float(np.mean(column)) if column else None for column in columns]


def reference_wavs(data_dir: str, sample_rate: int) -> list[np.ndarray]:
    """Recordings of a set, evenly over its utterances, for the Fréchet distance.

    Raises:
        ValueError: none.
    """
    source = Utterances(data_dir, sample_rate, lower=True)
    wavs = [source.read(utt) for utt in evenly_spaced(source.ids, REFERENCE_UTTERANCES)]
    if not wavs:
        raise InputError(f"{data_dir}: no recordings to measure a Fréchet distance from")
    return wavs
