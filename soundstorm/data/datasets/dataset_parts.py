"""What datasets have in common: names of their items, utterances of the lengths asked for, padded batches."""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soundstorm.data.errors import InputError

logger = logging.getLogger(__name__)


class OfUtterances:
    """A dataset of one item for each utterance of ``ids``."""

    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def name(self, index: int) -> str:
        """The utterance."""
        return self.ids[index]


def within_seconds(seconds: np.ndarray, shortest: float, longest: float, where: object) -> np.ndarray:
    """Places of those that last as long as asked for; how many these are is said.

    Raises:
        ValueError: there are none in the file ``where``.
    """
    inside = np.flatnonzero((shortest <= seconds) & (seconds <= longest))
    if not len(inside):
        raise InputError(f"{where}: none of {len(seconds)} utterances lasts between {shortest} and {longest} s")
    if len(inside) < len(seconds):
        logger.info("%s: %d of %d utterances last %g to %g s", where, len(inside), len(seconds), shortest, longest)
    return inside


def pad(arrays: Iterable[np.ndarray | Tensor], value: float = 0) -> Tensor:
    """Arrays ``(T, ...)`` as one tensor ``(B, T, ...)``, filled up at the end."""
    return pad_sequence([torch.as_tensor(array) for array in arrays], batch_first=True, padding_value=value)


def lengths(arrays: Iterable[np.ndarray | Tensor]) -> Tensor:
    """``(B,)`` int64."""
    return torch.tensor([len(array) for array in arrays])
