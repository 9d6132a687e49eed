"""A checkout of the benchmark: transcripts by labels and grammar, voices by embeddings, and the sets.

`data/label/label.json` names each recording of `data/speech/clean` with its intent and slots,
`data/rhino/coffee_maker.yaml` is the grammar that its speakers read from. A recogniser listens; the
transcript is the sentence of grammar and label that is nearest to what it heard. Where none is clearly the
nearest the recording is left out. There are no speakers either: they are groups of similar embeddings
(local/voice_groups.py), so one person may have two names and two of a like voice one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from orders import nearest, read_grammar, sentences
from prepare import SAMPLE_RATE, Sets
from sources import Utterance
from voice_groups import find_voices, strangers

from soundstorm.data.audio import read_audio
from soundstorm.data.data_dir import read_table, write_table

logger = logging.getLogger(__name__)
SPEECH, LABELS, GRAMMAR = "data/speech/clean", "data/label/label.json", "data/rhino/coffee_maker.yaml"
MOST_EDITS = 0.4  # of the letters; beyond that the label is another recording's, or nothing was heard
LEAST_MARGIN = 2  # letters by which the second nearest sentence must be farther
KEPT_SILENCE = 0.2  # seconds before and after the speech
SPEECH_LEVEL = 35.0  # dB below what the loudest 5 % reach, which a click is not, that still are speech


class BenchmarkOptions(NamedTuple):
    """How the sets are made.

    Attributes:
        recognizer: As `python -m soundstorm.bin.score --recognizer` has it.
        test_voices: So many at most.
        dev_utterances: So many at most.
        cache: Folder for what was heard, which another run then does not ask again.
    """

    recognizer: str
    test_voices: int
    dev_utterances: int
    cache: Path


def read_benchmark(root: Path, options: BenchmarkOptions) -> Sets:
    """Transcripts and voices: test has voices like no other, dev sentences that only it has."""
    candidates = read_candidates(root)
    wavs = {name: read_audio(root / SPEECH / f"{name}.wav", SAMPLE_RATE, lower=True) for name in candidates}
    texts = choose_texts(candidates, hear(wavs, options))
    places = {name: speech_of(wavs[name]) for name in texts}
    names = sorted(texts)
    voices = find_voices(np.stack(embed([wavs[name][slice(*places[name])] for name in names])))
    tested = {f"bar{number:02d}" for number in strangers(voices, options.test_voices)}
    if not tested:
        raise ValueError(
            f"{root / SPEECH}: none of {len(voices)} voices is unlike all others; is the checkout whole?"
        )
    speakers = {
        names[row]: f"bar{number:02d}" for number, voice in enumerate(voices) for row in voice.members
    }
    utterances = [_utterance(root, name, speakers[name], places[name], texts[name]) for name in names]
    return split(utterances, tested, options.dev_utterances)


def read_candidates(root: Path) -> dict[str, list[str]]:
    """Recording's name to the sentences that its label allows; recordings without label are left out.

    Raises:
        ValueError: The labels or the grammar are not as published, or do not fit each other.
    """
    grammar = read_grammar(_there(root, GRAMMAR))
    try:
        labels = json.loads(_there(root, LABELS).read_text(encoding="utf-8"))
        labels = {
            name.removesuffix(".wav"): (label["intent"], dict(label["slots"]))
            for name, label in labels.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{root / LABELS}: not <recording>: intent, slots ({error!r:.80})") from error
    candidates = {}
    for path in sorted(_there(root, SPEECH).glob("*.wav")):
        if path.stem not in labels:
            logger.warning("%s has no label and is left out", path)
            continue
        intent, slots = labels[path.stem]
        candidates[path.stem] = sentences(grammar.get(intent, []), slots)
        if not candidates[path.stem]:
            raise ValueError(
                f"{root / LABELS}: {path.name} has the intent {intent} and the slots {sorted(slots)}, "
                f"for which {GRAMMAR} has no expression; take both from one commit"
            )
    if not candidates:
        raise ValueError(f"{root / SPEECH} has no WAV file that {LABELS} names; clone the repository again")
    return candidates


def _there(root: Path, name: str) -> Path:
    if not (root / name).exists():
        raise FileNotFoundError(
            f"--source {root}: {name} is missing; clone the repository again, or git checkout {name}"
        )
    return root / name


def hear(wavs: dict[str, np.ndarray], options: BenchmarkOptions) -> dict[str, str]:
    """What the recogniser hears in each recording; asked for those only that it has not read before."""
    from soundstorm.scoring.recognizers import load_recognizer

    name = hashlib.sha256(options.recognizer.encode()).hexdigest()[:8]
    path = options.cache / f"heard_{name}.txt"
    heard = read_table(path) if path.is_file() else {}
    if missing := sorted(set(wavs) - set(heard)):
        logger.info("%s listens to %d recordings", options.recognizer, len(missing))
        recognizer = load_recognizer(options.recognizer, language="en")
        read = getattr(recognizer, "without_times", recognizer)
        transcripts = read([wavs[name] for name in missing])
        heard |= {name: t.written or t.text for name, t in zip(missing, transcripts)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, heard)
    return heard


def choose_texts(candidates: dict[str, list[str]], heard: dict[str, str]) -> dict[str, str]:
    """Recording's name to its transcript, where one sentence is clearly the nearest; the log names others."""
    from soundstorm.scoring.text_normalization import load_normalizer

    normalize, texts = load_normalizer("english"), {}
    for name, allowed in candidates.items():
        choice = nearest(heard[name], allowed, normalize)
        if choice.edits <= MOST_EDITS * len(choice.text) and choice.margin >= LEAST_MARGIN:
            texts[name] = choice.text
        else:
            logger.info(
                "%s is left out: heard %r, nearest %r by %s letters",
                name,
                heard[name],
                choice.text,
                choice.margin,
            )
    logger.info("%d of %d recordings have no clear transcript", len(candidates) - len(texts), len(candidates))
    if not texts:
        raise ValueError("no recording has a clear transcript; does --recognizer read English?")
    return texts


def embed(wavs: list[np.ndarray]) -> list[np.ndarray]:
    """Speaker embeddings by the model that voices are scored with."""
    from soundstorm.scoring.voice_preservation import load_speaker_model

    return list(map(load_speaker_model("resemblyzer"), wavs))


def speech_of(wav: np.ndarray) -> tuple[int, int]:
    """First and last sample to keep: speech from its first to its last 10 ms, and a little silence around."""
    hop = SAMPLE_RATE // 100
    frames = wav[: len(wav) // hop * hop].reshape(-1, hop)
    levels = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
    loud = np.flatnonzero(levels > np.percentile(levels, 95) - SPEECH_LEVEL)
    margin = round(KEPT_SILENCE * SAMPLE_RATE)
    return max(0, int(loud[0]) * hop - margin), min(len(wav), (int(loud[-1]) + 1) * hop + margin)


def _utterance(root: Path, name: str, speaker: str, place: tuple[int, int], text: str) -> Utterance:
    return Utterance(
        name=f"{speaker}-{name}",
        names=frozenset({name}),
        speaker=speaker,
        recording=name,
        path=(root / SPEECH / f"{name}.wav").resolve(),
        start=place[0] / SAMPLE_RATE,
        end=place[1] / SAMPLE_RATE,
        text=text,
        gender=None,
        split=None,
        source=root,
    )


def split(utterances: list[Utterance], tested: set[str], dev_utterances: int) -> Sets:
    """Test is the tested voices, dev sentences that occur once, train the rest without test's sentences."""
    test = [utterance for utterance in utterances if utterance.speaker in tested]
    spoken = Counter(utterance.text for utterance in utterances)
    unseen = {utterance.text for utterance in test}
    rest = [u for u in utterances if u.speaker not in tested and u.text not in unseen]
    once = sorted(
        (u for u in rest if spoken[u.text] == 1), key=lambda u: hashlib.sha256(u.name.encode()).hexdigest()
    )
    dev = {utterance.name for utterance in once[:dev_utterances]}
    if left := len(utterances) - len(test) - len(rest):
        logger.info("%d utterances of other voices are left out: they say what test says", left)
    sets = {
        "train": [u for u in rest if u.name not in dev],
        "dev": [u for u in rest if u.name in dev],
        "test": test,
    }
    if empty := [name for name, members in sets.items() if not members]:
        raise ValueError(
            f"no utterance is left for {empty[0]}, of {len(utterances)}; see --test-voices, --dev-utterances"
        )
    return {name: [replace(u, split=name) for u in members] for name, members in sets.items()}
