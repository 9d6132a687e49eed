"""Best-of-n sampling: several samples of every utterance, reranked by estimated quality (SPEAR-TTS).

`decoding` imports no scores: the reranker is an argument.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.waveform import waveform
from soundstorm.tokens.acoustic import AcousticTokenizer

# Samples (S,) and their rate in Hz -> estimated quality, higher is better.
Reranker = Callable[[np.ndarray, int], float]


@dataclass(frozen=True)
class Kept:
    """Best sample of each utterance, in the order given."""

    codes: list[np.ndarray]  # (T, Q) each
    wavs: list[np.ndarray]  # (S,) each
    scores: list[list[float]]  # of all samples


def best_of(
    make: Callable[[int], Sequence[np.ndarray]],
    codec: AcousticTokenizer,
    reranker: Reranker,
    *,
    count: int,
    stopwatch: Stopwatch,
) -> Kept:
    """Keep the sample with the highest score of each utterance, the first of equals.

    The time of all samples, their waveforms and their reranking counts as that of the audio that is kept.

    Args:
        make: number of the sample -> acoustic tokens of all utterances.
        codec: for the waveforms.
        reranker: estimated quality of a sample.
        count: samples of each utterance.
        stopwatch: is told the time taken.

    Raises:
        ValueError: the reranker's score of a sample is not finite.
    """
    codes: list[np.ndarray] = []
    wavs: list[np.ndarray] = []
    scores: list[list[float]] = []
    for number in range(count):
        with stopwatch.same_audio(number > 0):
            samples = make(number)
            for place, sample in enumerate(samples):
                wav = waveform(codec, sample, stopwatch)
                with stopwatch.part("reranking", len(wav) / codec.info.sample_rate):
                    score = float(reranker(wav, codec.info.sample_rate))
                if not np.isfinite(score):
                    raise InputError(
                        f"estimated quality of sample {number + 1} is {score}, expected a number"
                    )
                if number == 0:
                    codes.append(sample)
                    wavs.append(wav)
                    scores.append([])
                elif score > max(scores[place]):
                    codes[place], wavs[place] = sample, wav
                scores[place].append(score)
    return Kept(codes, wavs, scores)
