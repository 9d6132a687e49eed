"""How AudioLM writes tokens in one row: ids with an offset for each vocabulary.

A sequence is the conditioning, a start token, and the target's levels in row-major order: all levels of the
first frame, all of the second, and so on (AudioLM, section III-C).
"""

from dataclasses import dataclass

import numpy as np

from soundstorm.data.audiolm_stages import ACOUSTIC, COARSE, FINE, SEMANTIC, STAGES
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.errors import InputError

NONE = -1  # in ``levels``: nothing is predicted here


@dataclass(frozen=True)
class Row:
    """One sequence of ``L`` tokens, and what each of them predicts; int64 ``(L,)`` but for ``condition``."""

    ids: np.ndarray
    times: np.ndarray  # frame of the token
    due: np.ndarray  # frame of the token predicted
    condition: np.ndarray  # bool
    levels: np.ndarray  # level of the token predicted, or NONE
    classes: np.ndarray  # that token, within its level


@dataclass(frozen=True)
class Layout:
    """The vocabularies of one stage.

    Ids are ``0 .. condition_size - 1`` for the conditioning, then ``level_size`` for each level, then the
    start. Where sequences end by themselves, the end is one more class of the first level; it is predicted,
    never read.
    """

    condition_size: int
    num_levels: int  # that are predicted
    level_size: int
    ends: bool = False

    @property
    def start_id(self) -> int:
        """The id between conditioning and target."""
        return self.condition_size + self.num_levels * self.level_size

    @property
    def vocab_size(self) -> int:
        """Ids in all."""
        return self.start_id + 1

    def target_ids(self, codes: np.ndarray) -> np.ndarray:
        """Codes ``(T, levels)`` as ids in row-major order ``(T * levels,)``."""
        offsets = self.condition_size + np.arange(self.num_levels) * self.level_size
        return (codes.astype(np.int64) + offsets).reshape(-1)

    def row(
        self, condition: np.ndarray, times: np.ndarray, codes: np.ndarray, *, complete: bool = False
    ) -> Row:
        """One sequence.

        Args:
            condition: ids ``(C,)``; of the coarse stage, semantic tokens.
            times: their frames ``(C,)``; of a semantic token, the first of its frames.
            codes: the target, or what is known of it ``(T, levels)``.
            complete: whether the target ends here; the last token then predicts the end, and else nothing.
        """
        target, flat = self.target_ids(codes), np.arange(codes.size)
        none = np.full(len(condition), NONE)
        after = complete and self.ends
        end = self.level_size if after else NONE
        return Row(
            ids=np.concatenate([condition, [self.start_id], target]).astype(np.int64),
            times=np.concatenate([times, [0], flat // self.num_levels]).astype(np.int64),
            due=np.concatenate([times, [0], (flat + 1) // self.num_levels]).astype(np.int64),
            condition=np.arange(len(condition) + 1 + codes.size) < len(condition),
            levels=np.concatenate([none, flat % self.num_levels, [0 if after else NONE]]),
            classes=np.concatenate([none, codes.reshape(-1), [end]]).astype(np.int64),
        )


def stage_layout(
    stage: str,
    *,
    semantic_size: int,
    num_levels: int,
    coarse_levels: int,
    codebook_size: int,
    deduplicate: bool = False,
    semantic_repeats: bool = False,
) -> Layout:
    """The layout of a stage.

    Args:
        stage: semantic, coarse, fine or acoustic.
        semantic_size: number of semantic tokens.
        num_levels: Q of the codec; 0 for the semantic stage, as the two numbers that follow.
        coarse_levels: Q'.
        codebook_size: N.
        deduplicate: whether the coarse stage sees no repeats. Then nothing but an end of its own tells it how
            long to go on.
        semantic_repeats: whether the semantic stage writes repeats, a token a frame. Then it goes on for as long
            as it is asked to.
    """
    if stage == SEMANTIC:
        return Layout(0, 1, semantic_size, ends=not semantic_repeats)
    if stage == COARSE:
        return Layout(semantic_size, coarse_levels, codebook_size, ends=deduplicate)
    if stage == FINE:
        return Layout(coarse_levels * codebook_size, num_levels - coarse_levels, codebook_size)
    if stage == ACOUSTIC:
        return Layout(0, coarse_levels, codebook_size)
    raise InputError(f"--stage is {stage!r}, expected one of {', '.join(STAGES)}")


def untimed_condition(semantic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Conditioning of a coarse stage that sees no repeats: nobody knows the frames."""
    kept = deduplicate(semantic).astype(np.int64)
    return kept, np.zeros_like(kept)


def fine_condition(coarse: np.ndarray, codebook_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Conditioning of the fine stage: coarse codes ``(T, Q')`` as row-major ids, and their frames."""
    frames, levels = coarse.shape
    ids = coarse.astype(np.int64) + np.arange(levels) * codebook_size
    return ids.reshape(-1), np.repeat(np.arange(frames), levels)
