"""Best-of-n sampling: several samples of every utterance, reranked by estimated quality (SPEAR-TTS).

`decoding` imports no scores: the reranker is an argument.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.waveform import waveform
from soundstorm.tokens.acoustic import AcousticTokenizer

logger = logging.getLogger(__name__)

# Samples (S,) and their rate in Hz -> estimated quality, higher is better.
Reranker = Callable[[np.ndarray, int], float]


@dataclass(frozen=True)
class Kept:
    """Best sample of each utterance, in the order given."""

    codes: list[np.ndarray]  # (T, Q) each
    wavs: list[np.ndarray]  # (S,) each
    scores: list[list[float | None]]  # of all samples; None where there is no estimate


def best_of(
    make: Callable[[int], Sequence[np.ndarray]],
    names: Sequence[str],
    codec: AcousticTokenizer,
    reranker: Reranker,
    *,
    count: int,
    stopwatch: Stopwatch,
) -> Kept:
    """Keep the sample with the highest score of each utterance, the first of equals or of none with a score.

    The time of all samples, their waveforms and their reranking counts as that of the audio that is kept.

    Args:
        make: number of the sample -> acoustic tokens of all utterances.
        names: of the utterances.
        codec: for the waveforms.
        reranker: estimated quality of a sample.
        count: samples of each utterance.
        stopwatch: is told the time taken.

    Raises:
        ValueError: the reranker has no score of any sample.
    """
    codes: list[np.ndarray] = []
    wavs: list[np.ndarray] = []
    scores: list[list[float | None]] = [[] for _ in names]
    best, problem = [-np.inf] * len(names), ""
    for number in range(count):
        with stopwatch.same_audio(number > 0):
            samples = make(number)
            for place, sample in enumerate(samples):
                wav = waveform(codec, sample, stopwatch)
                with stopwatch.part("reranking", len(wav) / codec.info.sample_rate):
                    score = float(reranker(wav, codec.info.sample_rate))
                if number == 0:
                    codes.append(sample)
                    wavs.append(wav)
                if np.isfinite(score):
                    scores[place].append(score)
                    if score > best[place]:
                        best[place], codes[place], wavs[place] = score, sample, wav
                else:
                    scores[place].append(None)
                    what = f"{names[place]}: estimated quality of sample {number + 1} is {score}, expected a number"
                    problem = problem or what
                    logger.warning("%s", what)
    if not np.isfinite(best).any():
        raise InputError(f"{problem}; nor has any other sample one. Set decode.best_of to 1")
    return Kept(codes, wavs, scores)
