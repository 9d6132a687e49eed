"""Who speaks, where nobody wrote it down: groups of similar embeddings, and those like no other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SAME_VOICE = 0.76  # mean cosine between two groups above which they are taken for one voice
STRANGERS = 0.70  # and below which they are surely two
LEAST_OF_TEST = 5  # utterances of a voice that is to be tested; a lone odd recording is no voice


class Voice(NamedTuple):
    """One group.

    Attributes:
        members: Rows of the embeddings.
        nearest: Mean cosine to the members of the group that is most like it; -1 if there is no other.
    """

    members: tuple[int, ...]
    nearest: float


def find_voices(embeddings: np.ndarray, threshold: float = SAME_VOICE) -> list[Voice]:
    """Agglomerative clustering with average linkage of cosines, the largest group first.

    Args:
        embeddings: (N, D), one row for each recording.
        threshold: Groups are joined while their mean cosine is above it.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    if len(unit) > 1:
        distances = 1 - cosines[np.triu_indices(len(unit), 1)]
        labels = fcluster(linkage(np.maximum(distances, 0), "average"), 1 - threshold, "distance")
    else:
        labels = np.ones(len(unit), dtype=int)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    groups.sort(key=lambda group: (-len(group), group[0]))
    similar = np.array([[cosines[np.ix_(one, other)].mean() for other in groups] for one in groups])
    np.fill_diagonal(similar, -1)
    return [Voice(tuple(map(int, group)), float(row.max())) for group, row in zip(groups, similar)]


def strangers(voices: list[Voice], number: int) -> list[int]:
    """The places of at most so many voices, of those that are far from all others the farthest."""
    able = [place for place, voice in enumerate(voices) if len(voice.members) >= LEAST_OF_TEST]
    ranked = sorted((voices[place].nearest, place) for place in able if voices[place].nearest <= STRANGERS)
    return sorted(place for _, place in ranked[:number])
