"""Which utterances of a data directory are of one speaker, for millions of utterances."""

from pathlib import Path

import numpy as np

from soundstorm.data.table_index import MISSING, read_values


class SpeakerIndex:
    """The speakers of a list of utterances; an utterance that the table lacks is a speaker of its own."""

    def __init__(self, names: np.ndarray, utt2spk: str | Path):
        """
        Args:
            names: of the utterances, ``(U,)``, as :class:`~soundstorm.data.table_index.Keys` holds them.
            utt2spk: the table.

        Raises:
            FileNotFoundError: there is none.
        """
        keys, speakers = read_values(utt2spk)
        rows = keys.rows(names)
        known = np.where(rows == MISSING, names, speakers[rows])
        _, self._speaker = np.unique(known, return_inverse=True)
        self._by_speaker = np.argsort(self._speaker, kind="stable")
        self._first = np.append(0, np.cumsum(np.bincount(self._speaker)))

    def same(self, index: int) -> np.ndarray:
        """All utterances of an utterance's speaker, itself among them, as places in the list."""
        speaker = self._speaker[index]
        return self._by_speaker[self._first[speaker] : self._first[speaker + 1]]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """For each utterance the sum of `values` ``(U,)`` of its speaker's."""
        return np.bincount(self._speaker, weights=values).astype(values.dtype)[self._speaker]
