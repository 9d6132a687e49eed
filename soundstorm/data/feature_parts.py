"""Features of a set of utterances, kept in parts: what is interrupted on the way goes on after the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from soundstorm.data.data_dir import write_bytes


class FeatureParts:
    """A directory with ``part<number>.safetensors``: utterance to features ``(T, D)``."""

    seconds = 600.0  # of audio in a part: 90 MB of a HuBERT's features

    def __init__(self, directory: str | Path):
        self._directory = Path(directory)

    def _path(self, number: int) -> Path:
        return self._directory / f"part{number}.safetensors"

    def read(
        self, number: int, inputs: str, utterances: Iterable[str] | None = None
    ) -> dict[str, np.ndarray] | None:
        """A part, or these utterances of it, as it was written for the same inputs; None where there is none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(number), "numpy") as part:
                if (part.metadata() or {}).get("inputs") != inputs:
                    return None
                return {utt: part.get_tensor(utt) for utt in (part.keys() if utterances is None else utterances)}
        except (SafetensorError, OSError):
            return None

    def write(self, number: int, inputs: str, found: Mapping[str, np.ndarray]) -> None:
        """Keep a part, whole or not at all.

        Args:
            number: of the part.
            inputs: digest of what the features depend on.
            found: utterance to features.
        """
        from safetensors.numpy import save

        self._directory.mkdir(parents=True, exist_ok=True)
        arrays = {utt: np.ascontiguousarray(array) for utt, array in found.items()}
        write_bytes(self._path(number), save(arrays, metadata={"inputs": inputs}))

    def remove(self) -> None:
        """Remove all parts, and the directory where nothing else is in it."""
        for path in self._directory.glob("part*.safetensors"):
            path.unlink()
        if self._directory.is_dir() and not any(self._directory.iterdir()):
            self._directory.rmdir()


def whole_batches(batches: list[list[int]], seconds: np.ndarray, least: float) -> Iterator[list[int]]:
    """Batches joined to parts of ``least`` seconds or more, the last of the rest; as utterance numbers.

    Args:
        batches: numbers of the utterances of each, in order.
        seconds: ``(N,)`` of each utterance.
        least: in a part.
    """
    part: list[int] = []
    for batch in batches:
        part += batch
        if seconds[part].sum() >= least:
            yield part
            part = []
    if part:
        yield part
