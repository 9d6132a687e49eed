"""How many frames each letter of a text gets: as predicted, in the prompt's pace, faster or slower, or in a given time.

Lengths are float64 and on the host, so that they do not depend on batch or device.
"""

import numpy as np
import torch
from torch import Tensor

from soundstorm.decoding.sampling import choose

PACE_LETTERS = 10  # of a prompt, from which on its pace counts
PACE_LIMITS = (0.5, 2.0)  # how much slower or faster than predicted a prompt makes the rest


def predicted_durations(logits: Tensor) -> np.ndarray:
    """Mean frames of each letter ``(L,)`` under logits of 1, 2, ... frames ``(L, K)``."""
    frames = torch.arange(1, logits.shape[-1] + 1, dtype=torch.float64)
    return (logits.double().softmax(-1) * frames).sum(-1).numpy()


def drawn_durations(logits: Tensor, uniform: Tensor, *, temperature: float) -> np.ndarray:
    """Sampled frames of each letter ``(L,)``; the mean ones at temperature 0.

    Args:
        logits: of 1, 2, ... frames ``(L, K)``.
        uniform: numbers in [0, 1) ``(L,)``.
        temperature: divides the logits.
    """
    if temperature == 0:
        return predicted_durations(logits)
    return (choose(logits, uniform, temperature=temperature, top_k=0) + 1).double().numpy()


def pace_of(heard: np.ndarray, predicted: np.ndarray) -> float:
    """How much slower a prompt is than predicted, of its frames of each letter ``(L,)``, which need not be whole; the
    last one may go on."""
    whole = np.flatnonzero(heard)[:-1]
    if len(whole) < PACE_LETTERS:
        return 1.0
    return float(np.clip(heard[whole].sum() / predicted[whole].sum(), *PACE_LIMITS))


def left_durations(wanted: np.ndarray, heard: np.ndarray, *, ended: bool) -> np.ndarray:
    """What is to come of wanted frames ``(L,)`` after a prompt with ``heard`` frames of each letter ``(L,)``.

    ``ended``: the prompt's last letter is over; otherwise it goes on for what is left of it.
    """
    if not heard.any():
        return wanted
    left, last = wanted.copy(), int(np.flatnonzero(heard)[-1])
    left[:last] = 0.0
    left[last] = 0.0 if ended else max(0.0, wanted[last] - heard[last])
    return left


def allot(wanted: np.ndarray, total: int) -> np.ndarray:
    """``total`` frames shared among letters in proportion to ``wanted (L,)``: int64 ``(L,)``, summing up exactly.

    Letters that want any get at least one, as in training, where there are enough. Where none wants any the last
    one gets all.
    """
    if not wanted.any():
        return np.where(np.arange(len(wanted)) == len(wanted) - 1, total, 0)
    wants = wanted > 0
    least = wants.astype(np.int64) if total >= wants.sum() else np.zeros(len(wanted), np.int64)
    more = np.maximum(wanted - least, 0.0)
    more = more if more.any() else wants.astype(float)
    ends = np.cumsum(more) / more.sum() * (total - least.sum())
    return least + np.diff(np.rint(ends).astype(np.int64), prepend=0)
